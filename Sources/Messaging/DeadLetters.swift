public import Runtime

/// An event that has failed for good, as it lies among the dead letters.
public struct DeadLetter: Sendable, Encodable {
    public let id: String
    public let type: String
    public let source: String
    public let subject: String?
    public let time: String?
    /// How often it was tried.
    public let attempts: Int
    /// Why the last attempt failed.
    public let error: String
    /// The dead-letter queue.
    public let queue: String
    /// The event's data as it came; bytes that are no UTF-8 show as U+FFFD.
    public let data: String
}

/// The dead letters of one consumer.
///
/// Reading takes them out of the queue for as long as it lasts, so two who read at the same time see a part each; what
/// was read and not settled goes back to its place. A message leaves the queue only after it is where it goes to: a
/// tool that is killed midway leaves it there, perhaps beside its copy, which the inbox recognises by its id.
public struct DeadLetters: Sendable {
    public enum Selection: Sendable, Equatable {
        case all
        /// Every letter with this event id.
        case event(id: String)
    }

    private let address: BrokerAddress
    private let workQueue: String
    public let queue: String

    /// - Parameters:
    ///   - workQueue: where they came from and are redriven to.
    ///   - queue: where they are.
    public init(at address: BrokerAddress, workQueue: String, queue: String) {
        self.address = address
        self.workQueue = workQueue
        self.queue = queue
    }

    /// The first of them, the oldest first.
    public func list(limit: Int = .max, deadline: Deadline) throws(BrokerError) -> [DeadLetter] {
        let session = try Session(address, name: "taproom dlq", deadline: deadline)
        return try fetch(session, limit: limit, deadline: deadline).map { letter($0) }
    }

    /// Sends events to their work queue again, under the ids they have and as if they had never failed.
    /// - Returns: those that were sent.
    /// - Throws: `BrokerError`; what was sent before is redriven, the rest is where it was.
    public func redrive(_ selection: Selection, deadline: Deadline) throws(BrokerError) -> [DeadLetter] {
        let session = try Session(address, name: "taproom dlq", deadline: deadline)
        let publisher = try Publisher(session, deadline: deadline)
        // All are fetched before the first is sent, so that one that fails again at once is not met again.
        var redriven: [DeadLetter] = []
        for delivery in try chosen(selection, session, deadline) {
            var copy = Envelope(delivery.message, routingKey: delivery.routingKey).stamped(delivery.message)
            copy.forgetAttempts()
            try publisher.send(copy, to: workQueue)
            FaultPoint.beforeRedriveAcknowledge.reach()
            try session.acknowledge(delivery.tag)
            redriven.append(letter(delivery))
        }
        try settle(session, deadline)
        return redriven
    }

    /// Removes events for ever.
    /// - Parameter record: keeps what is removed; when it throws, those before are gone, that one and the rest stay.
    public func discard(
        _ selection: Selection, deadline: Deadline, record: (DeadLetter) throws -> Void
    ) throws -> [DeadLetter] {
        let session = try Session(address, name: "taproom dlq", deadline: deadline)
        var discarded: [DeadLetter] = []
        for delivery in try chosen(selection, session, deadline) {
            let letter = letter(delivery)
            do {
                try record(letter)
            } catch {
                try settle(session, deadline)
                throw error
            }
            try session.acknowledge(delivery.tag)
            discarded.append(letter)
        }
        try settle(session, deadline)
        return discarded
    }

    /// Waits until the broker has read every acknowledgement: it answers in order.
    private func settle(_ session: Session, _ deadline: Deadline) throws(BrokerError) {
        _ = try session.messageCount(queue, deadline: deadline)
    }

    private func chosen(
        _ selection: Selection, _ session: Session, _ deadline: Deadline
    ) throws(BrokerError) -> [Delivery] {
        let all = try fetch(session, limit: .max, deadline: deadline)
        guard case .event(let id) = selection else { return all }
        return all.filter { Envelope($0.message, routingKey: $0.routingKey).id == id }
    }

    private func fetch(_ session: Session, limit: Int, deadline: Deadline) throws(BrokerError) -> [Delivery] {
        var deliveries: [Delivery] = []
        while deliveries.count < limit, let delivery = try session.get(queue, deadline: deadline) {
            deliveries.append(delivery)
        }
        return deliveries
    }

    private func letter(_ delivery: Delivery) -> DeadLetter {
        let message = delivery.message
        let envelope = Envelope(message, routingKey: delivery.routingKey)
        return DeadLetter(
            id: envelope.id, type: envelope.type, source: envelope.source, subject: envelope.subject,
            time: envelope.time, attempts: message.attempt,
            error: message.error ?? "it came back unsettled more often than its queue allows", queue: queue,
            data: String(decoding: message.body, as: UTF8.self))
    }
}
