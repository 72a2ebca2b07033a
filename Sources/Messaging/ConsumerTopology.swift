public import Runtime

/// What one consumer needs at the broker: an exchange, its work queue, a queue for every delay of its retries and one
/// for what has failed for good.
///
/// All are durable and declared idempotently. A message that has failed is published to the retry queue of its attempt,
/// lies there until its time is over, and is brought back to the work queue by the broker itself. One queue per delay,
/// because time runs out at the head of a queue only. Every way from queue to queue is "at least once": the broker
/// removes the message from one when the other has it.
public struct ConsumerTopology: Sendable, Equatable {
    public let exchange: String
    public let queue: String
    public let routingKeys: [String]
    /// Seconds that a message waits after its first failure, its second, and so on.
    public let retry: [Int]
    public let deadLetter: String

    public static let defaultExchange = "taproom.events"
    public static let defaultRetry = [5, 30, 120, 600, 3600]

    public init(
        queue: String, exchange: String = defaultExchange, routingKeys: [String], retry: [Int] = defaultRetry,
        deadLetter: String? = nil
    ) {
        self.exchange = exchange
        self.queue = queue
        self.routingKeys = routingKeys
        self.retry = retry
        self.deadLetter = deadLetter ?? queue + ".dead"
    }

    /// A queue and the arguments that it is declared with.
    public struct Queue: Sendable, Equatable {
        public let name: String
        public let arguments: [String: Argument]

        /// A quorum queue.
        init(_ name: String, _ arguments: [String: Argument] = [:]) {
            self.name = name
            self.arguments = arguments.merging(["x-queue-type": .text("quorum")]) { $1 }
        }
    }

    public enum Argument: Sendable, Equatable {
        case text(String)
        case integer(Int)
    }

    /// The queue for what has failed so often, from 1; `nil` when it was the last time.
    func retryQueue(attempt: Int) -> String? {
        retry.indices.contains(attempt - 1) ? retryQueue(seconds: retry[attempt - 1]) : nil
    }

    /// Those in which events wait for their next attempt, one for each delay.
    public var retryQueues: [String] { Set(retry).sorted().map(retryQueue) }

    private func retryQueue(seconds: Int) -> String { "\(queue).retry.\(TimeSpan(seconds: seconds))" }

    /// Every queue after those that its dead letters go to.
    public var queues: [Queue] {
        [
            Queue(deadLetter),
            Queue(queue, passing(to: deadLetter, ["x-delivery-limit": .integer(Self.deliveryLimit)])),
        ]
            + Set(retry).sorted().map { seconds in
                Queue(
                    retryQueue(seconds: seconds), passing(to: queue, ["x-message-ttl": .integer(seconds * 1000)]))
            }
    }

    /// Declares everything.
    /// - Throws: `BrokerError`; `refused` with 406 for a queue that is there with other arguments: remove it when it is
    ///   empty, or give the consumer another queue name.
    public func declare(at address: BrokerAddress, deadline: Deadline) throws(BrokerError) {
        try declare(in: Session(address, name: "taproom", deadline: deadline), deadline: deadline)
    }

    func declare(in session: Session, deadline: Deadline) throws(BrokerError) {
        try session.declareExchange(exchange, deadline: deadline)
        for queue in queues { try session.declareQueue(queue, deadline: deadline) }
        for key in routingKeys {
            try session.bind(queue, to: exchange, routingKey: key, deadline: deadline)
        }
    }

    /// Lets no more events of a routing key come into a queue from an exchange. What is in the queue stays; a binding
    /// that is not there is no error.
    public static func unbind(
        _ queue: String, exchange: String, routingKey: String, at address: BrokerAddress, deadline: Deadline
    ) throws(BrokerError) {
        try Session(address, name: "taproom", deadline: deadline)
            .unbind(queue, from: exchange, routingKey: routingKey, deadline: deadline)
    }

    /// Deletes a queue with the events that it holds, if it is there.
    /// - Returns: how many went with it.
    public static func delete(
        _ queue: String, at address: BrokerAddress, deadline: Deadline
    ) throws(BrokerError) -> Int {
        try Session(address, name: "taproom", deadline: deadline).deleteQueue(queue, deadline: deadline)
    }

    /// By the default exchange, which knows every queue by its name. The strategy needs the overflow rule: without it the
    /// broker falls back to passing on at most once, and says so nowhere.
    private func passing(to target: String, _ more: [String: Argument]) -> [String: Argument] {
        more.merging([
            "x-dead-letter-exchange": .text(""), "x-dead-letter-routing-key": .text(target),
            "x-dead-letter-strategy": .text("at-least-once"), "x-overflow": .text("reject-publish"),
        ]) { $1 }
    }

    /// How often a message may come back unsettled before the broker itself sets it aside.
    ///
    /// A consumer that dies gives back all that it held, so this count rises for messages that did nothing wrong. It is
    /// therefore no more than a last resort, for messages that kill the consumer before it can look at them.
    /// ``Consumer`` acts long before, by rules that tell the culprit from the bystanders.
    private static let deliveryLimit = 20
}

extension NumberRule {
    /// Events that the broker hands out ahead of their acknowledgement.
    package static let prefetch = NumberRule(20, in: 1...1000)
    /// Events that one transaction of a consumer handles at most; never more than are handed out.
    package static let consumerBatch = NumberRule(1, in: 1...1000)
    /// Events that a relay publishes ahead of their confirmation.
    package static let relayBatch = NumberRule(200, in: 1...10_000)
}
