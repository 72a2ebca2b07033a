/// A queue of the broker whose events a function handles, as `rabbitmq: {queue: …}` says.
public struct QueueTrigger: Sendable, Equatable {
    /// At most 200 of `A–Z a–z 0–9 . _ -`; no other function consumes it.
    public let queue: String
    /// The topic exchange that it is bound to.
    public let exchange: String
    /// Patterns of the event types that come into it; at least one.
    public let routingKeys: [String]
    /// How many events the broker hands out ahead of their acknowledgement.
    public let prefetch: Int
    /// How many events one transaction handles at most; not more than `prefetch`.
    public let batchSize: Int
    /// How long an event that failed waits before each further attempt; after the last it is a dead letter.
    public let retry: [RetryDelay]
    /// The queue of the events that were given up; no other function has it.
    public let deadLetter: String

    /// The queue in which events wait for one delay: `QUEUE.retry.5s`.
    public func retryQueue(_ delay: RetryDelay) -> String { "\(queue).retry.\(delay)" }

    static let defaultRetry = [5, 30, 120, 600, 3600].map { RetryDelay(seconds: $0) }
}

/// How long an event waits for its next attempt.
public struct RetryDelay: Sendable, Equatable, Hashable, CustomStringConvertible {
    public let seconds: Int

    /// In the largest unit that fits: `5s`, `90s`, `2m`, `1h`.
    public var description: String {
        let (unit, letter) = [(3600, "h"), (60, "m")].first { seconds % $0.0 == 0 } ?? (1, "s")
        return "\(seconds / unit)\(letter)"
    }
}

/// The table of events that a function publishes, as `outbox: {service: …}` says.
public struct OutboxTrigger: Sendable, Equatable {
    /// The service whose database holds the table.
    public let service: String
    /// The topic exchange that its events are published to.
    public let exchange: String
    /// How many events are published ahead of their confirmation.
    public let batchSize: Int
}

/// Where events are published unless functions.yml says otherwise.
let defaultExchange = "taproom.events"
