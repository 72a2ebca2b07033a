import Manifest
import Messaging
import Postgres
import Runtime

extension Instance {
    /// One consumed queue as `status` shows it. A number is absent when the broker does not answer or lacks the queue.
    /// Events that a consumer holds, and has not acknowledged, are in none of them.
    public struct QueueStatus: Codable, Sendable, Equatable {
        public let queue: String
        /// The function that consumes it.
        public let function: String
        /// Events in the queue, which wait for the function.
        public let waiting: Int?
        /// Events that failed and wait for their next attempt.
        public let retrying: Int?
        /// Events that were given up.
        public let dead: Int?
        /// Workers of the function that take events from it.
        public let consumers: Int?
    }

    /// One outbox as `status` shows it. Numbers are absent when its database does not answer.
    public struct OutboxStatus: Codable, Sendable, Equatable {
        public let service: String
        /// Events that are not published yet.
        public let waiting: Int?
        /// Age of the oldest of those, in seconds; absent when none waits.
        public let oldestSeconds: Double?
        /// Published events that no queue was bound to.
        public let unroutable: Int?
    }

    /// Every queue that a function consumes, in the order of functions.yml.
    public func queues() -> [QueueStatus] {
        let consumed = manifest.functions.compactMap { function in function.queue.map { (function.name, $0.topology) } }
        let names = manifest.topology.queues.map(\.name)
        let counts =
            (try? BrokerQueues(instance: self).counts(names, deadline: .after(milliseconds: 3000))) ?? [:]
        func sum(_ queues: [String]) -> Int? {
            let known = queues.compactMap { counts[$0]??.messages }
            return known.count == queues.count ? known.reduce(0, +) : nil
        }
        return consumed.map { name, queue in
            QueueStatus(
                queue: queue.queue, function: name, waiting: sum([queue.queue]),
                retrying: sum(queue.retryQueues), dead: sum([queue.deadLetter]),
                consumers: counts[queue.queue]??.consumers)
        }
    }

    /// Every outbox that a function publishes, in the order of functions.yml.
    public func outboxes() -> [OutboxStatus] {
        var services: [String] = []
        for service in manifest.functions.compactMap(\.outbox?.service) where !services.contains(service) {
            services.append(service)
        }
        return services.map { service in
            let counts = record.databases[service].flatMap { try? OutboxCounts(url: $0) }
            return OutboxStatus(
                service: service, waiting: counts?.waiting, oldestSeconds: counts?.oldestSeconds,
                unroutable: counts?.unroutable)
        }
    }
}

/// What is in one outbox now. The events that were sent are not looked at.
struct OutboxCounts {
    let waiting: Int
    let oldestSeconds: Double?
    let unroutable: Int

    init(url: String) throws {
        let connection = try Connection(url: url, command: "status")
        let milliseconds: Int?
        (waiting, milliseconds, unroutable) = try connection.execute(
            """
            SELECT (SELECT count(*) FROM outbox WHERE state = 'waiting'),
                   (SELECT round(extract(epoch FROM clock_timestamp() - min(occurred_at)) * 1000)::bigint
                    FROM outbox WHERE state = 'waiting'),
                   (SELECT count(*) FROM outbox WHERE state = 'unroutable')
            """, deadline: .after(milliseconds: 5000))[0].decode(Int.self, Int?.self, Int.self)
        oldestSeconds = milliseconds.map { Double($0) / 1000 }
    }
}
