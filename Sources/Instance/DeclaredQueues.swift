import Foundation
internal import Manifest
internal import Messaging

/// What an instance has declared at its broker, whichever that was: a broker does not tell whose its queues are.
struct DeclaredQueues: Codable {
    struct Binding: Codable, Equatable {
        let exchange: String
        let queue: String
        let routingKey: String
    }

    /// In order.
    private(set) var queues: [String] = []
    var bindings: [Binding] = []

    init(_ topology: BrokerTopology) {
        queues = topology.queues.map(\.name).sorted()
        bindings = topology.bindings.map {
            Binding(exchange: $0.exchange, queue: $0.queue, routingKey: $0.routingKey)
        }
    }

    private init() {}

    /// Empty when nothing is remembered.
    static func load(_ placement: Placement) -> DeclaredQueues {
        let data = FileManager.default.contents(atPath: placement.declaredQueues) ?? Data()
        return (try? JSONDecoder().decode(DeclaredQueues.self, from: data)) ?? DeclaredQueues()
    }

    func save(_ placement: Placement) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try writeFile(placement.declaredQueues, try encoder.encode(self), mode: 0o600)
    }

    func union(_ other: DeclaredQueues) -> DeclaredQueues {
        var all = self
        all.queues = Set(queues + other.queues).sorted()
        all.bindings += other.bindings.filter { !bindings.contains($0) }
        return all
    }
}
