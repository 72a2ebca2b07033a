import Foundation
import Manifest
import Messaging
import Runtime

/// What an instance has declared at its broker, whichever that was: a broker does not tell whose its queues are.
struct DeclaredQueues: Codable {
    /// In order.
    private(set) var queues: [String] = []
    var bindings: [BrokerTopology.Binding] = []

    init(_ topology: BrokerTopology) {
        queues = topology.queues.map(\.name).sorted()
        bindings = topology.bindings
    }

    private init() {}

    /// Empty when nothing is remembered.
    static func load(_ placement: Placement) -> DeclaredQueues {
        let data = FileManager.default.contents(atPath: placement.declaredQueues) ?? Data()
        return (try? JSONDecoder().decode(DeclaredQueues.self, from: data)) ?? DeclaredQueues()
    }

    func save(_ placement: Placement) throws {
        try writeFile(placement.declaredQueues, Data(try JSON.encode(self, isPretty: true)), mode: 0o600)
    }

    mutating func remove(_ queue: String) {
        queues.removeAll { $0 == queue }
        bindings.removeAll { $0.queue == queue }
    }

    func union(_ other: DeclaredQueues) -> DeclaredQueues {
        var all = self
        all.queues = Set(queues + other.queues).sorted()
        all.bindings += other.bindings.filter { !bindings.contains($0) }
        return all
    }
}
