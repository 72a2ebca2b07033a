import Runtime

/// A message and where it goes.
struct Parcel: Sendable {
    let message: Message
    /// Empty for the default exchange, which knows queues by their names.
    let exchange: String
    let routingKey: String
}

/// Publishes over a session and waits until the broker has said what came of every message.
///
/// What else the broker sends meanwhile is kept in `received`, for those who also consume over the session.
final class Publisher {
    enum Outcome: Sendable, Equatable {
        /// The broker has it, on disk and in every queue it was meant for.
        case confirmed
        /// No queue is bound to where it went.
        case unroutable
        /// A queue has it not, and may take it another time.
        case refused
        /// The broker has not said by the deadline: it may have arrived or not.
        case unconfirmed
    }

    let session: Session
    var received: [Delivery] = []
    private var published: UInt64 = 0

    /// Longest wait for the confirmation of what was published together.
    static let confirmMilliseconds = 10_000

    init(_ session: Session, deadline: Deadline) throws(BrokerError) {
        self.session = session
        try session.confirmPublishes(deadline: deadline)
    }

    /// Publishes them in order.
    ///
    /// While the broker takes nothing, no more is sent, and what was sent is waited for over this session, without a limit:
    /// a broker that reads nothing does not notice when a session goes, and takes all that was sent over it in the end.
    /// - Parameter isPatient: asked about every second while the broker takes nothing: whether to go on waiting.
    /// - Returns: what came of each. With an `unconfirmed` one the session is closed.
    /// - Throws: `blocked` when patience ends; when the session breaks, each may have arrived or not.
    func publish(
        _ parcels: [Parcel], deadline: Deadline, isPatient: (BrokerError) -> Bool = { _ in false }
    ) throws(BrokerError) -> [Outcome] {
        var batch = Batch(first: published + 1, parcels)
        var deadline = deadline
        var isLate = false
        for (index, parcel) in parcels.enumerated() {
            if index == parcels.count / 2 { FaultPoint.duringPublish.reach() }
            while !isLate, try !session.mayPublish(deadline: deadline) {
                isLate = try !hear(&batch, &deadline, isPatient)
            }
            guard !isLate else { break }
            try session.publish(parcel.message, exchange: parcel.exchange, routingKey: parcel.routingKey)
            published += 1
        }
        FaultPoint.beforeConfirm.reach()
        while !isLate, batch.isOpen { isLate = try !hear(&batch, &deadline, isPatient) }
        if isLate { session.close() }
        return batch.outcomes.map { $0 ?? .unconfirmed }
    }

    /// Takes in the next thing that the broker says.
    /// - Returns: `false` when it says nothing until the deadline, which begins anew when it takes messages again.
    private func hear(
        _ batch: inout Batch, _ deadline: inout Deadline, _ isPatient: (BrokerError) -> Bool
    ) throws(BrokerError) -> Bool {
        let incoming = try session.next(
            deadline: session.blockedReason == nil ? deadline : .after(milliseconds: 1000))
        switch incoming {
        case .returned(let message): batch.returned.insert(message.messageID)
        case .settled(let tag, let multiple, let isTaken):
            if tag <= published { batch.settle(tag, multiple: multiple, isTaken: isTaken) }
        case .delivery(let delivery): received.append(delivery)
        case .cancelled: throw session.fail(.lost(place: session.place, reason: "the queue was removed"))
        case .unblocked: deadline = .after(milliseconds: Self.confirmMilliseconds)
        case .blocked, nil:
            guard let reason = session.blockedReason else { return false }
            let error = BrokerError.blocked(place: session.place, reason: reason)
            guard isPatient(error) else { throw error }
        }
        return true
    }

    /// Moves a message into a queue by its name, without what of it cannot be sent.
    /// - Throws: unless the queue has it for sure.
    func send(
        _ message: Message, to queue: String, isPatient: (BrokerError) -> Bool = { _ in false }
    ) throws(BrokerError) {
        guard try offer(message, to: queue, isPatient: isPatient) else {
            throw session.fail(.notTaken(place: session.place, queue: queue))
        }
    }

    /// As `send`, and goes on where the queue does not take it.
    /// - Returns: whether the queue has it for sure.
    func offer(
        _ message: Message, to queue: String, isPatient: (BrokerError) -> Bool = { _ in false }
    ) throws(BrokerError) -> Bool {
        let parcel = Parcel(
            message: message.fitting(frameLimit: session.frameLimit), exchange: "", routingKey: queue)
        let outcomes = try publish(
            [parcel], deadline: .after(milliseconds: Self.confirmMilliseconds), isPatient: isPatient)
        guard outcomes != [.unconfirmed] else { throw unanswered }
        return outcomes == [.confirmed]
    }

    /// The error that an `unconfirmed` outcome stands for.
    var unanswered: BrokerError { .timedOut(place: session.place, waitingFor: "confirms") }
}

/// What came so far of messages that were published together.
private struct Batch {
    private(set) var outcomes: [Publisher.Outcome?]
    /// By id; those without one stand for each other, so that none counts as taken which is not.
    var returned: Set<String?> = []
    private let parcels: [Parcel]
    private let first: UInt64
    /// Numbers below it are settled.
    private var lowest: UInt64
    private var open: Int

    init(first: UInt64, _ parcels: [Parcel]) {
        (self.first, self.parcels, lowest, open) = (first, parcels, first, parcels.count)
        outcomes = Array(repeating: nil, count: parcels.count)
    }

    var isOpen: Bool { open > 0 }

    /// Those of earlier batches are nothing to it.
    mutating func settle(_ tag: UInt64, multiple: Bool, isTaken: Bool) {
        guard tag >= first else { return }
        for number in (multiple ? lowest : tag)...tag where outcomes[Int(number - first)] == nil {
            let index = Int(number - first)
            let isReturned = returned.contains(parcels[index].message.messageID)
            outcomes[index] = !isTaken ? .refused : isReturned ? .unroutable : .confirmed
            open -= 1
        }
        if multiple { lowest = tag + 1 }
    }
}
