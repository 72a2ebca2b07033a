internal import Runtime

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
        /// The broker has it not, and may take it another time.
        case refused
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
    /// - Returns: what came of each.
    /// - Throws: when not all is known by the deadline; then the session is closed, and each may have arrived or not.
    func publish(_ parcels: [Parcel], deadline: Deadline) throws(BrokerError) -> [Outcome] {
        let first = published + 1
        for (index, parcel) in parcels.enumerated() {
            if index == parcels.count / 2 { FaultPoint.duringPublish.reach() }
            try session.publish(
                parcel.message, exchange: parcel.exchange, routingKey: parcel.routingKey, deadline: deadline)
            published += 1
        }
        FaultPoint.beforeConfirm.reach()
        var outcomes = [Outcome?](repeating: nil, count: parcels.count)
        var open = parcels.count
        // Numbers below it are settled.
        var lowest = first
        // By id; those without one stand for each other, so that none counts as taken which is not.
        var returned: Set<String?> = []
        while open > 0 {
            guard let incoming = try session.next(deadline: deadline) else {
                let blocked = session.blockedReason.map { " (it takes nothing: \($0))" } ?? ""
                throw session.fail(.timedOut(place: session.place, waitingFor: "confirms\(blocked)"))
            }
            switch incoming {
            case .returned(let message):
                returned.insert(message.messageID)
            case .settled(let tag, let multiple, let isTaken):
                guard tag >= first, tag <= published else { continue }
                for number in (multiple ? lowest : tag)...tag where outcomes[Int(number - first)] == nil {
                    let index = Int(number - first)
                    let isReturned = returned.contains(parcels[index].message.messageID)
                    outcomes[index] = !isTaken ? .refused : isReturned ? .unroutable : .confirmed
                    open -= 1
                }
                if multiple { lowest = tag + 1 }
            case .delivery(let delivery): received.append(delivery)
            case .cancelled: throw session.fail(.lost(place: session.place, reason: "the queue was removed"))
            case .blocked, .unblocked: continue
            }
        }
        return outcomes.map { $0 ?? .refused }
    }

    /// Moves a message into a queue by its name, without what of it cannot be sent.
    /// - Throws: unless the queue has it for sure.
    func send(_ message: Message, to queue: String) throws(BrokerError) {
        guard try offer(message, to: queue) else { throw session.fail(.notTaken(place: session.place, queue: queue)) }
    }

    /// As `send`, and goes on where the queue does not take it.
    /// - Returns: whether the queue has it for sure.
    func offer(_ message: Message, to queue: String) throws(BrokerError) -> Bool {
        let parcel = Parcel(
            message: message.fitting(frameLimit: session.frameLimit), exchange: "", routingKey: queue)
        return try publish([parcel], deadline: .after(milliseconds: Self.confirmMilliseconds)) == [.confirmed]
    }
}
