/// What the broker must have for the functions of a manifest: all of it durable.
public struct QueueTopology: Sendable, Equatable {
    /// A queue and the arguments that it is declared with.
    public struct Queue: Sendable, Equatable {
        public let name: String
        public let arguments: [String: Argument]
    }

    public enum Argument: Sendable, Equatable {
        case text(String)
        case integer(Int)
    }

    /// Which events of a topic exchange come into a queue.
    public struct Binding: Sendable, Equatable {
        public let exchange: String
        public let queue: String
        public let routingKey: String
    }

    /// Names of topic exchanges, in order.
    public let exchanges: [String]
    /// A queue stands after those that its dead letters go to.
    public let queues: [Queue]
    public let bindings: [Binding]
}

extension Manifest {
    /// The exchanges, queues and bindings of all consumers and relays.
    ///
    /// A work queue takes back what a consumer did not acknowledge; what comes back too often, and what a consumer gives
    /// up, is kept in its dead letter queue. An event that failed waits in the retry queue of its delay, whose dead
    /// letters are the work queue's events. No step is at most once: the queue that hands over keeps its copy until the
    /// next one has confirmed.
    public var topology: QueueTopology {
        let consumed = functions.compactMap(\.queue)
        let exchanges = Set(consumed.map(\.exchange) + functions.compactMap(\.outbox?.exchange)).sorted()
        return QueueTopology(
            exchanges: exchanges, queues: consumed.flatMap(\.queues),
            bindings: consumed.flatMap { queue in
                queue.routingKeys.map { .init(exchange: queue.exchange, queue: queue.queue, routingKey: $0) }
            })
    }
}

extension QueueTrigger {
    /// A consumer that dies hands back all it held, so events that do no harm come back with the one that kills it.
    private static let deliveryLimit = 20

    fileprivate var queues: [QueueTopology.Queue] {
        let kind: [String: QueueTopology.Argument] = ["x-queue-type": .text("quorum")]
        func handingOver(to next: String, _ more: [String: QueueTopology.Argument]) -> [String: QueueTopology.Argument]
        {
            kind.merging(more) { $1 }.merging([
                "x-dead-letter-exchange": .text(""), "x-dead-letter-routing-key": .text(next),
                // The broker takes the strategy only together with this way to overflow.
                "x-dead-letter-strategy": .text("at-least-once"), "x-overflow": .text("reject-publish"),
            ]) { $1 }
        }
        let work = handingOver(to: deadLetter, ["x-delivery-limit": .integer(Self.deliveryLimit)])
        return [
            .init(name: deadLetter, arguments: kind), .init(name: queue, arguments: work),
        ]
            + retry.map { delay in
                .init(
                    name: retryQueue(delay),
                    arguments: handingOver(to: queue, ["x-message-ttl": .integer(delay.seconds * 1000)]))
            }
    }
}
