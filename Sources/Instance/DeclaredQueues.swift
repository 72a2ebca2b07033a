import Foundation
import Manifest
import Messaging
import Runtime

/// What an instance has declared at its broker, whichever that was: a broker does not tell whose its queues are.
struct DeclaredQueues: Codable {
    /// In order.
    private(set) var queues: [String] = []
    var bindings: [BrokerTopology.Binding] = []
    /// Those that functions may work with which run, also while functions.yml no longer names them; `nil` for all, in a
    /// file from before this was remembered.
    private var inUse: [String]?

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

    func isInUse(_ queue: String) -> Bool { (inUse ?? queues).contains(queue) }

    /// Nobody works with other queues than these any more, unless one has kept its bindings.
    mutating func releaseFormer(_ wanted: DeclaredQueues) {
        if bindings.allSatisfy(wanted.bindings.contains) { inUse = wanted.queues }
    }

    mutating func remove(_ queue: String) {
        queues.removeAll { $0 == queue }
        bindings.removeAll { $0.queue == queue }
    }

    func union(_ other: DeclaredQueues) -> DeclaredQueues {
        var all = self
        all.queues = Set(queues + other.queues).sorted()
        all.bindings += other.bindings.filter { !bindings.contains($0) }
        all.inUse = Set((inUse ?? queues) + other.queues).sorted()
        return all
    }
}
