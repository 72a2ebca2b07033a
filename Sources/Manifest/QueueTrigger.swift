public import Messaging

/// A queue of the broker whose events a function handles, as `rabbitmq: {queue: …}` says.
public struct QueueTrigger: Sendable, Equatable {
    /// Names of at most 200 of `A–Z a–z 0–9 . _ -`; no other function has one of its queues. At least one routing key.
    public let topology: ConsumerTopology
    /// How many events the broker hands out ahead of their acknowledgement.
    public let prefetch: Int
    /// How many events one transaction handles at most; not more than `prefetch`.
    public let batchSize: Int
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
