import Foundation
import Manifest
public import Messaging
import Runtime

/// The broker's side of an instance: the queues that functions.yml names, and those that it once named.
struct BrokerQueues {
    let instance: Instance

    /// Whether the broker takes connections with the configured password.
    func isReachable() throws -> Bool {
        let address = try instance.brokerAddress()
        return (try? address.checkLogin(deadline: Self.limit)) != nil
    }

    /// Makes what is missing, after it was written down what will be there.
    /// - Throws: `InstanceError` with what the broker said.
    func declare() throws {
        let address = try instance.brokerAddress()
        try DeclaredQueues.load(instance.placement).union(wanted).save(instance.placement)
        do {
            // Says what is wrong with the broker even when there is nothing to declare.
            try address.checkLogin(deadline: Self.limit)
            for topology in instance.manifest.functions.compactMap(\.queue?.topology) {
                try topology.declare(at: address, deadline: Self.limit)
            }
        } catch {
            let isOther = if case BrokerError.refused(_, code: 406, _) = error { true } else { false }
            throw InstanceError(
                "the queues of functions.yml cannot be declared at \(address.place): \(error)"
                    + (isOther ? "; empty and delete that queue, or give the function another" : ""))
        }
    }

    /// Takes away the bindings that functions.yml names no more, so that no more events come by them. What is in the queues
    /// stays. A consumer that still wants one would make it again: it must have been replaced before. A queue that is
    /// named no more either keeps its bindings while somebody consumes it, such as an earlier release at the same broker.
    /// - Throws: `InstanceError` with what the broker said.
    func unbindFormer() throws {
        var known = DeclaredQueues.load(instance.placement)
        let former = known.bindings.filter { !wanted.bindings.contains($0) }
        guard !former.isEmpty else { return }
        let counts = try counts(Set(former.map(\.queue)).sorted())
        for binding in former {
            // One that is not there any more has lost its bindings.
            if let queue = counts[binding.queue] ?? nil {
                guard queue.consumers == 0 || wanted.queues.contains(binding.queue) else { continue }
                try ask {
                    try ConsumerTopology.unbind(
                        binding.queue, exchange: binding.exchange, routingKey: binding.routingKey, at: $0,
                        deadline: Self.limit)
                }
            }
            known.bindings.removeAll { $0 == binding }
        }
        try known.save(instance.placement)
    }

    private var wanted: DeclaredQueues { DeclaredQueues(instance.manifest.topology) }

    /// What each of these queues has; `nil` for one that is not there.
    func counts(_ queues: [String], deadline: Deadline = limit) throws -> [String: QueueCounts?] {
        try ask { try QueueCounts.of(queues, at: $0, deadline: deadline) }
    }

    /// Why the broker takes no events at the moment; `nil` when it does.
    func blockedReason() throws -> String? {
        try ask { try $0.blockedReason(deadline: .after(milliseconds: 3000)) }
    }

    private func ask<Answer>(_ question: (BrokerAddress) throws -> Answer) throws -> Answer {
        let address = try instance.brokerAddress()
        do {
            return try question(address)
        } catch {
            throw InstanceError("RabbitMQ at \(address.place): \(error)")
        }
    }

    /// Queues that were declared once and that no function names any more, in order.
    func former() -> [String] {
        let current = wanted.queues
        return DeclaredQueues.load(instance.placement).queues.filter { !current.contains($0) }
    }

    /// Deletes a queue that functions.yml named once and names no more.
    /// - Parameter discards: whether the events that it holds may go with it.
    /// - Returns: how many did.
    /// - Throws: `InstanceError` for any other queue, for one that somebody consumes, and for one that events may come back
    ///   to from a retry queue, which would go nowhere then.
    func delete(_ queue: String, discards: Bool) throws -> Int {
        let former = former()
        let counts = try counts(former)
        let there = former.filter { counts[$0] ?? nil != nil }
        guard there.contains(queue), let held = counts[queue] ?? nil else {
            throw InstanceError(
                "\(queue) is no queue at the broker that functions.yml named once and names no more; there are: "
                    + (there.isEmpty ? "none" : there.joined(separator: ", ")))
        }
        let retrying = there.filter { $0.hasPrefix(queue + ".retry.") }
        guard retrying.isEmpty else {
            throw InstanceError(
                "events may come back to \(queue) from \(retrying.joined(separator: ", ")): delete those first")
        }
        guard held.consumers == 0 else { throw InstanceError("somebody takes events from \(queue)") }
        guard discards || held.messages == 0 else {
            throw InstanceError("\(queue) holds \(held.messages) events: --discard deletes them with it")
        }
        let count = try ask { try ConsumerTopology.delete(queue, at: $0, deadline: Self.limit) }
        var known = DeclaredQueues.load(instance.placement)
        known.remove(queue)
        try known.save(instance.placement)
        return count
    }

    static var limit: Deadline { .after(milliseconds: 10_000) }
}

extension Instance {
    /// Deletes a queue that functions.yml named once and names no more. The state folder's lock is the caller's.
    /// - Returns: how many events went with it.
    /// - Throws: `InstanceError`; without `discardsEvents` also for one that holds any.
    public func deleteFormerQueue(_ queue: String, discardsEvents: Bool) throws -> Int {
        try BrokerQueues(instance: self).delete(queue, discards: discardsEvents)
    }

    /// - Throws: `InstanceError` when the instance knows no broker, or its address is none.
    public func brokerAddress() throws -> BrokerAddress {
        guard let url = record.rabbitmq else {
            throw InstanceError("the instance was started when there was no broker: run \(record.upCommand)")
        }
        do {
            return try BrokerAddress(url)
        } catch {
            throw InstanceError(
                "rabbitmq.url is not an AMQP URI such as amqp://user:password@host:5672/vhost: \(error)")
        }
    }
}
