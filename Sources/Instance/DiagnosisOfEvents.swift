import Manifest
import Messaging
import Postgres
import Runtime

/// What carries events from the outboxes to their consumers.
extension Diagnosis {
    /// A relay publishes within a second.
    private static let secondsToPublish = 60.0

    func broker() throws {
        let instance = try running()
        let missing = try counts(of: instance.manifest.topology.queues.map(\.name), instance)
            .filter { $0.value == nil }.keys.sorted()
        guard missing.isEmpty else { throw InstanceError("it lacks queues: \(missing.joined(separator: ", "))") }
        guard let reason = try BrokerQueues(instance: instance).blockedReason() else { return }
        throw Obstacle(
            description: "it takes no events at the moment: \(reason)",
            remedy: "free disk and memory on its machine; taproom logs rabbitmq says how much it wants")
    }

    /// A function may run and be refused by the broker all the time.
    func consumers() throws {
        let instance = try running()
        let names = Set(try instance.functions().filter { $0.state == .running }.map(\.name))
        let consumed = instance.manifest.functions.filter { names.contains($0.name) }
            .compactMap { function in function.queue.map { (function: function.name, queue: $0.topology.queue) } }
        var idle = consumed
        // One that has just lost its session makes the next within seconds.
        let areBusy = try waitUntil(seconds: 5, every: 500) {
            let counts = try counts(of: idle.map(\.queue), instance)
            idle = idle.filter { counts[$0.queue]??.consumers == 0 }
            return idle.isEmpty
        }
        guard !areBusy else { return }
        throw Obstacle(
            description: "nobody takes events from "
                + idle.map { "\($0.queue), although \($0.function) runs" }.joined(separator: "; from "),
            remedy: idle.map { "taproom logs \($0.function)" }.joined(separator: "; "))
    }

    func outboxes() throws {
        let instance = try running()
        let outboxes = instance.outboxes()
        for outbox in outboxes where outbox.waiting == nil {
            try readOutbox(of: outbox.service, instance)
            throw Obstacle(
                description: "the events in the outbox of \(outbox.service) could not be counted in time",
                remedy: Self.patience)
        }
        let late = outboxes.filter { $0.oldestSeconds ?? 0 > Self.secondsToPublish }
        guard !late.isEmpty else { return }
        let relays = instance.manifest.functions.filter { function in
            late.contains { $0.service == function.outbox?.service }
        }
        throw Obstacle(
            description: "events wait to be published: "
                + late.map { "\($0.waiting ?? 0) of \($0.service), the oldest for \(Int($0.oldestSeconds ?? 0)) s" }
                .joined(separator: "; "),
            remedy: relays.map { "taproom logs \($0.name)" }.joined(separator: "; "))
    }

    /// Throws for one that nobody can read.
    private func readOutbox(of service: String, _ instance: Instance) throws {
        guard let url = instance.record.databases[service] else {
            throw InstanceError("\(service) has no database yet")
        }
        do {
            _ = try asking(service, instance) {
                try Connection(url: url, command: "doctor")
                    .execute("SELECT state, occurred_at FROM outbox LIMIT 0", deadline: .after(milliseconds: 5000))
            }
        } catch let error as PostgresError {
            throw Obstacle(
                description: "the outbox of \(service) cannot be read: \(error)",
                remedy: "what migrations says, or \(up)")
        }
    }

    /// Nobody reads what is in them any more; they may hold events, so an operator alone deletes them.
    func formerQueues() throws {
        let instance = try running()
        let queues = BrokerQueues(instance: instance)
        let former = queues.former()
        guard !former.isEmpty else { return }
        let counts = try counts(of: former, instance).compactMapValues { $0 }
        let left = counts.keys.sorted()
        guard !left.isEmpty else { return }
        throw Obstacle(
            description: "no function names them any more: "
                + left.map { "\($0) (\(counts[$0]?.messages ?? 0) events)" }.joined(separator: ", "),
            remedy: queues.formerInUse().isEmpty
                ? "taproom queues delete \(left.joined(separator: " ")), with --discard once the events in them may go"
                : "\(up); when an earlier release elsewhere consumes one, end that before")
    }

    private func counts(of queues: [String], _ instance: Instance) throws -> [String: QueueCounts?] {
        do {
            return try BrokerQueues(instance: instance).counts(queues)
        } catch {
            throw Obstacle(description: "\(error)", remedy: fixBroker)
        }
    }
}
