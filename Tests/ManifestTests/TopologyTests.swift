import Foundation
import Messaging
import TestSupport
import Testing

@testable import Manifest

@Suite struct TopologyTests {
    private func topology() throws -> BrokerTopology {
        try manifest(
            events: "- rabbitmq: {queue: q, exchange: x, routingKey: [a.b, c], retry: [5s, 2m], deadLetter: d}"
        ).topology
    }

    @Test func everyQueueKeepsWhatItHandsOver() throws {
        let topology = try topology()
        #expect(topology.exchanges == ["x"])
        #expect(topology.queues.map(\.name) == ["d", "q", "q.retry.5s", "q.retry.2m"])
        #expect(topology.queues[0].arguments == ["x-queue-type": .text("quorum")])
        let handingOver: [String: ConsumerTopology.Argument] = [
            "x-queue-type": .text("quorum"), "x-dead-letter-exchange": .text(""),
            "x-dead-letter-strategy": .text("at-least-once"), "x-overflow": .text("reject-publish"),
        ]
        #expect(
            topology.queues[1].arguments
                == handingOver.merging([
                    "x-dead-letter-routing-key": .text("d"), "x-delivery-limit": .integer(20),
                ]) { $1 })
        for (index, milliseconds) in [(2, 5000), (3, 120_000)] {
            #expect(
                topology.queues[index].arguments
                    == handingOver.merging([
                        "x-dead-letter-routing-key": .text("q"), "x-message-ttl": .integer(milliseconds),
                    ]) { $1 })
        }
        #expect(topology.bindings.map(\.routingKey) == ["a.b", "c"])
        #expect(topology.bindings.allSatisfy { $0.exchange == "x" && $0.queue == "q" })
    }

    @Test func aRelayNeedsItsExchangeOnly() throws {
        let topology = try manifest(events: "- outbox: {service: s, exchange: x}").topology
        #expect(topology == BrokerTopology(exchanges: ["x"], queues: [], bindings: []))
    }

    @Test func definitionsAreWhatTheBrokerImports() throws {
        struct Definitions: Decodable {
            struct Exchange: Decodable {
                let name, vhost, type: String
                let durable, auto_delete, `internal`: Bool
            }
            struct Queue: Decodable {
                let name, vhost: String
                let durable, auto_delete: Bool
            }
            struct Binding: Decodable {
                let source, vhost, destination, destination_type, routing_key: String
            }
            let exchanges: [Exchange]
            let queues: [Queue]
            let bindings: [Binding]
        }
        let text = try topology().definitions
        let file = try JSONDecoder().decode(Definitions.self, from: Data(text.utf8))
        #expect(file.exchanges.map(\.type) == ["topic"] && file.exchanges.allSatisfy(\.durable))
        #expect(file.queues.count == 4 && file.queues.allSatisfy { $0.durable && !$0.auto_delete && $0.vhost == "/" })
        #expect(file.bindings.map { "\($0.source) \($0.routing_key) \($0.destination)" } == ["x a.b q", "x c q"])
        #expect(text.hasSuffix("}\n"))
        #expect(text.contains("\"x-message-ttl\" : 120000"))
    }

    /// The committed files are those that functions.yml gives.
    @Test func committedTopologyIsUpToDate() throws {
        let manifest = try Manifest.load(from: Repository.root + "/functions.yml")
        #expect(Manifest.drift(of: manifest.topology.definitions, fileAt: Repository.root + "/topology.json") == nil)
    }
}
