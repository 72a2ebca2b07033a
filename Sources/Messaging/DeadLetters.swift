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
/// Reading takes all of them out of the queue for as long as it lasts, so two who read at the same time see a part
/// each. What was read and not settled goes back in any order, so the oldest is the one whose event says the earliest
/// time. A message leaves the queue only after it is where it goes to: a tool that is killed midway leaves it there,
/// perhaps beside its copy, which the inbox recognises by its id.
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

    /// The oldest of them in order; those that say no time come before.
    public func list(limit: Int = .max, deadline: Deadline) throws(BrokerError) -> [DeadLetter] {
        let session = try reader(deadline)
        return try fetch(session, deadline: deadline).prefix(limit).map { letter($0) }
    }

    /// Sends events to their work queue again, the oldest first, under the ids they have and as if they had never
    /// failed.
    /// - Parameter note: hears of each letter that it was sent, or why it stays where it is.
    /// - Throws: `BrokerError`; what was sent before is redriven, the rest is where it was.
    public func redrive(
        _ selection: Selection, deadline: Deadline, note: (DeadLetter, BrokerError?) -> Void
    ) throws(BrokerError) {
        let session = try reader(deadline)
        let publisher = try Publisher(Session(address, name: "taproom dlq", deadline: deadline), deadline: deadline)
        // All are fetched before the first is sent, so that one that fails again at once is not met again.
        for delivery in try chosen(selection, session, deadline) {
            var copy = envelope(delivery).stamped(delivery.message)
            copy.forgetAttempts()
            let letter = letter(delivery)
            do throws(BrokerError) {
                guard try publisher.offer(copy, to: workQueue) else {
                    note(letter, .notTaken(place: session.place, queue: workQueue))
                    continue
                }
                FaultPoint.beforeRedriveAcknowledge.reach()
                try session.acknowledge(delivery.tag)
            } catch {
                note(letter, error)
                throw error
            }
            note(letter, nil)
        }
        try settle(session, deadline)
    }

    /// Removes events for ever.
    /// - Parameter record: keeps what is removed; when it throws, those before are gone, that one and the rest stay.
    public func discard(
        _ selection: Selection, deadline: Deadline, record: (DeadLetter) throws -> Void
    ) throws {
        let session = try reader(deadline)
        for delivery in try chosen(selection, session, deadline) {
            let letter = letter(delivery)
            do {
                try record(letter)
            } catch {
                try settle(session, deadline)
                throw error
            }
            try session.acknowledge(delivery.tag)
        }
        try settle(session, deadline)
    }

    private func reader(_ deadline: Deadline) throws(BrokerError) -> Session {
        try Session(address, name: "taproom dlq", isReader: true, deadline: deadline)
    }

    /// Waits until the broker has read every acknowledgement: it answers in order.
    private func settle(_ session: Session, _ deadline: Deadline) throws(BrokerError) {
        _ = try session.counts(queue, deadline: deadline)
    }

    private func chosen(
        _ selection: Selection, _ session: Session, _ deadline: Deadline
    ) throws(BrokerError) -> [Delivery] {
        let all = try fetch(session, deadline: deadline)
        guard case .event(let id) = selection else { return all }
        return all.filter { envelope($0).id.hasSameBytes(as: id) }
    }

    /// Takes all. The broker's count of a quorum queue would miss those that have just come back.
    private func fetch(_ session: Session, deadline: Deadline) throws(BrokerError) -> [Delivery] {
        var letters: [(age: (time: String, sequence: Int, id: String), delivery: Delivery)] = []
        while let delivery = try session.get(queue, deadline: deadline) {
            let envelope = envelope(delivery)
            // Without its Z a time sorts as text, with or without a fraction.
            let time = String(envelope.time?.prefix { $0 != "Z" } ?? "")
            letters.append(((time, envelope.sequence ?? 0, envelope.id), delivery))
        }
        return letters.sorted { $0.age < $1.age }.map(\.delivery)
    }

    private func letter(_ delivery: Delivery) -> DeadLetter {
        let message = delivery.message
        let envelope = envelope(delivery)
        return DeadLetter(
            id: envelope.id, type: envelope.type, source: envelope.source, subject: envelope.subject,
            time: envelope.time, attempts: message.attempt,
            error: message.error ?? Self.text(deathReason: message.death?.reason), queue: queue,
            data: String(decoding: message.body, as: UTF8.self))
    }

    /// Why an event is here that no consumer of ours has set aside.
    private static func text(deathReason: String?) -> String {
        switch deathReason {
        case "delivery_limit": "it came back unsettled more often than its queue allows"
        case "expired": "it expired before a consumer took it"
        case "maxlen": "its queue was full"
        case "rejected": "a consumer refused it"
        case let reason?: "the broker set it aside: \(reason)"
        case nil: "nobody says why"
        }
    }

    /// What the broker itself made a dead letter has come under the name of this queue, and is called as it was before.
    private func envelope(_ delivery: Delivery) -> Envelope {
        let before = delivery.routingKey == queue ? delivery.message.death?.routingKey : nil
        return Envelope(delivery.message, routingKey: before ?? delivery.routingKey)
    }
}
