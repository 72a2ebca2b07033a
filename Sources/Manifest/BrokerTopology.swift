public import Messaging

/// What the broker must have for the functions of a manifest: all of it durable.
public struct BrokerTopology: Sendable, Equatable {
    /// Which events of a topic exchange come into a queue. An instance remembers it under these names.
    public struct Binding: Codable, Sendable, Equatable {
        public let exchange: String
        public let queue: String
        public let routingKey: String
    }

    /// Names of topic exchanges, in order.
    public let exchanges: [String]
    /// A queue stands after those that its dead letters go to.
    public let queues: [ConsumerTopology.Queue]
    public let bindings: [Binding]
}

extension Manifest {
    /// The exchanges, queues and bindings of all consumers and relays.
    ///
    /// A work queue takes back what a consumer did not acknowledge; what comes back too often, and what a consumer gives
    /// up, is kept in its dead letter queue. An event that failed waits in the retry queue of its delay, whose dead
    /// letters are the work queue's events. No step is at most once: the queue that hands over keeps its copy until the
    /// next one has confirmed.
    public var topology: BrokerTopology {
        let consumed = functions.compactMap(\.queue?.topology)
        let exchanges = Set(consumed.map(\.exchange) + functions.compactMap(\.outbox?.exchange)).sorted()
        return BrokerTopology(
            exchanges: exchanges, queues: consumed.flatMap(\.queues),
            bindings: consumed.flatMap { topology in
                topology.routingKeys.map { .init(exchange: topology.exchange, queue: topology.queue, routingKey: $0) }
            })
    }
}
