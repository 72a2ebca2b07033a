import Foundation
import Manifest
internal import Messaging
internal import Runtime

/// The broker's side of an instance: the queues that functions.yml names, and those that it once named.
struct BrokerQueues {
    let instance: Instance

    /// - Throws: `InstanceError` when the instance knows no broker, or its address is none.
    private func address() throws -> BrokerAddress {
        guard let url = instance.record.rabbitmq else {
            throw InstanceError("the instance was started when there was no broker: run make up")
        }
        do {
            return try BrokerAddress(url)
        } catch {
            throw InstanceError("rabbitmq.url is no address of a broker: \(error)")
        }
    }

    /// Whether the broker takes connections with the configured password.
    func isReachable() throws -> Bool {
        let address = try address()
        return (try? QueueDepth.messages(in: [], at: address, deadline: Self.limit)) != nil
    }

    /// Makes what is missing, after it was written down what will be there. Nothing is removed.
    /// - Throws: `InstanceError` with what the broker said.
    func declare() throws {
        let address = try address()
        try remember()
        do {
            // Says what is wrong with the broker even when there is nothing to declare.
            _ = try QueueDepth.messages(in: [], at: address, deadline: Self.limit)
            for queue in instance.manifest.functions.compactMap(\.queue) {
                try queue.topology.declare(at: address, deadline: Self.limit)
            }
        } catch {
            throw InstanceError("the queues of functions.yml cannot be declared at \(address.place): \(error)")
        }
    }

    /// Messages in each of these queues; `nil` for one that is not there.
    func depths(_ queues: [String]) throws -> [String: Int?] {
        let address = try address()
        do {
            return try QueueDepth.messages(in: queues, at: address, deadline: Self.limit)
        } catch {
            throw InstanceError("RabbitMQ at \(address.place): \(error)")
        }
    }

    /// Queues that were declared once and that no function names any more, in order.
    func former() -> [String] {
        let current = Set(instance.manifest.topology.queues.map(\.name))
        return remembered().filter { !current.contains($0) }.sorted()
    }

    private func remember() throws {
        let names = Set(remembered() + instance.manifest.topology.queues.map(\.name)).sorted()
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .withoutEscapingSlashes]
        try writeFile(instance.placement.declaredQueues, try encoder.encode(names), mode: 0o600)
    }

    private func remembered() -> [String] {
        let data = FileManager.default.contents(atPath: instance.placement.declaredQueues) ?? Data()
        return (try? JSONDecoder().decode([String].self, from: data)) ?? []
    }

    private static var limit: Deadline { .after(milliseconds: 10_000) }
}

extension QueueTrigger {
    fileprivate var topology: Topology {
        Topology(
            queue: queue, exchange: exchange, routingKeys: routingKeys, retry: retry.map(\.seconds),
            deadLetter: deadLetter)
    }
}
