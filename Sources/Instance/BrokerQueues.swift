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

    /// Takes away the bindings that functions.yml names no more, so that no more events come by them, and says so. What is
    /// in the queues stays. A consumer that still wants one would make it again: it must have been replaced before. A queue
    /// that is named no more either keeps its bindings while somebody consumes it, such as an earlier release at the same
    /// broker.
    /// - Throws: `InstanceError` with what the broker said.
    func unbindFormer(_ progress: Progress) throws {
        var known = DeclaredQueues.load(instance.placement)
        let former = known.bindings.filter { !wanted.bindings.contains($0) }
        let counts = former.isEmpty ? [:] : try counts(Set(former.map(\.queue)).sorted())
        for binding in former {
            // One that is not there any more has lost its bindings.
            if let queue = counts[binding.queue] ?? nil {
                guard queue.consumers == 0 || wanted.queues.contains(binding.queue) else { continue }
                try ask {
                    try ConsumerTopology.unbind(
                        binding.queue, exchange: binding.exchange, routingKey: binding.routingKey, at: $0,
                        deadline: Self.limit)
                }
                progress.say(
                    "  \(binding.queue) takes no more events by \(binding.routingKey) of \(binding.exchange): "
                        + "no function names it")
            }
            known.bindings.removeAll { $0 == binding }
        }
        known.releaseFormer(wanted)
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

    /// Those of them that functions may still work with which run: no start has come to its end since functions.yml names
    /// them no more, or somebody, such as an earlier release elsewhere, consumed a former work queue then.
    func formerInUse() -> [String] {
        let known = DeclaredQueues.load(instance.placement)
        return former().filter(known.isInUse)
    }

    /// Deletes queues that functions.yml named once and names no more, with all that is in them, and says so of each. What
    /// the broker counts is told and decides nothing: it counts none while a queue comes back, and never what is on its
    /// way from a retry queue.
    /// - Parameter discards: whether events may go with them.
    /// - Throws: `InstanceError` before the first is deleted: always unless `discards`, for any other queue, while one is in
    ///   use, and for one that events may come back to from a retry queue that stays, which would go nowhere then.
    func delete(_ names: [String], discards: Bool, _ progress: Progress) throws {
        let inUse = formerInUse()
        guard inUse.isEmpty else {
            throw InstanceError(
                "what runs may still work with \(inUse.joined(separator: ", ")): run \(instance.record.upCommand) "
                    + "first; when an earlier release elsewhere consumes one, end that before")
        }
        let there = try counts(former()).compactMapValues { $0 }
        // A queue's name begins those of its retry queues, which go first.
        let chosen = Set(names).sorted(by: >)
        for queue in chosen {
            guard let held = there[queue] else {
                throw InstanceError(
                    "\(queue) is no queue at the broker that functions.yml named once and names no more; there are: "
                        + (there.isEmpty ? "none" : there.keys.sorted().joined(separator: ", ")))
            }
            let retrying = there.keys.filter { $0.hasPrefix(queue + ".retry.") && !chosen.contains($0) }.sorted()
            guard retrying.isEmpty else {
                throw InstanceError(
                    "events may come back to \(queue) from \(retrying.joined(separator: ", ")): delete those as well")
            }
            guard held.consumers == 0 else { throw InstanceError("somebody takes events from \(queue)") }
        }
        guard discards else {
            throw InstanceError(
                "--discard deletes these queues with all events in them; without it none is deleted, for the broker's "
                    + "last count may lag behind:\n"
                    + chosen.map { "  \($0): \(there[$0]?.messages ?? 0) events" }.joined(separator: "\n"))
        }
        for queue in chosen {
            let count = try ask { try ConsumerTopology.delete(queue, at: $0, deadline: Self.limit) }
            var known = DeclaredQueues.load(instance.placement)
            known.remove(queue)
            try known.save(instance.placement)
            progress.say("deleted \(queue): the broker counted \(count) events in it")
        }
    }

    static var limit: Deadline { .after(milliseconds: 10_000) }
}

extension Instance {
    /// Deletes queues that functions.yml named once and names no more. The state folder's lock is the caller's.
    /// - Throws: `InstanceError`; always without `discardsEvents`, saying what would be deleted.
    public func deleteFormerQueues(_ names: [String], discardsEvents: Bool, progress: Progress) throws {
        try BrokerQueues(instance: self).delete(names, discards: discardsEvents, progress)
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
