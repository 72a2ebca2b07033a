public import Events
public import Postgres
public import Runtime

/// Subscribes customers and changes the status of subscriptions. What threads ask at the same moment goes to the
/// database together.
public struct SubscriptionStore: Sendable {
    private let subscribing: StatementBatcher<NewSubscription, NewSubscription.Answer>
    private let changing: StatementBatcher<NewStatus, NewStatus.Answer>

    /// - Parameter signal: raised after every commit that publishes.
    public init(_ database: Database, _ signal: RelaySignal) {
        subscribing = StatementBatcher { try signal.raised(after: NewSubscription.subscribe($0, database)) }
        changing = StatementBatcher { try signal.raised(after: NewStatus.change($0, database)) }
    }

    public struct Subscribed: Sendable {
        public let id: String
        public let createDate: Timestamp
    }

    /// Adds a subscription with its ACTIVE history row, in one statement, and publishes `subscription.created`.
    /// - Parameter customer: 1 to 36 characters without NUL; the caller has checked.
    /// - Throws: 404 `club-not-found`, 409 `club-not-active`, 409 `already-subscribed` with the existing id.
    public func subscribe(
        customer: String, toClub club: Int32, cause: EventCause, deadline: Deadline
    ) throws -> Subscribed {
        let asked = NewSubscription(club: club, customer: customer, cause: cause)
        return try answer(orThrow: SubscriptionProblem.clubNotFound(String(club))) {
            try subscribing.answer(asked, deadline: deadline).get()
        }
    }

    public struct Change: Sendable {
        public let effectDate: Timestamp
        public let returnsAt: Timestamp?
    }

    /// Writes a status change. Every automatic return that has not taken effect yet is taken back, whatever the change
    /// is; a pause with an interval schedules a new one. Publishes `subscription.activated`, `.paused` or `.cancelled`.
    /// - Parameters:
    ///   - status: one of `StatusID`.
    ///   - effectDate: default now, by the database's clock.
    ///   - returnAfterDays: for a pause, 1 to 3650.
    /// - Throws: 404 `subscription-not-found`.
    public func changeStatus(
        of subscription: String, to status: Int, effectDate: Timestamp?, returnAfterDays: Int?, details: String?,
        cause: EventCause, deadline: Deadline
    ) throws -> Change {
        let change = NewStatus(
            subscription: subscription, status: status, effectDate: effectDate, returnAfterDays: returnAfterDays,
            details: details, cause: cause)
        return try answer(orThrow: SubscriptionProblem.subscriptionNotFound(subscription)) {
            try changing.answer(change, deadline: deadline).get()
        }
    }

    /// Asks once more when what a row names was deleted between the check and the row: the same transaction may have
    /// inserted it again.
    private func answer<Value>(orThrow missing: Problem, _ ask: () throws -> Value) throws -> Value {
        do {
            return try ask()
        } catch let error as PostgresError where error.isMissingReference {
            do {
                return try ask()
            } catch let error as PostgresError where error.isMissingReference {
                throw missing
            }
        }
    }
}

private struct NewSubscription: Sendable {
    typealias Answer = Result<SubscriptionStore.Subscribed, Problem>

    let club: Int32
    let customer: String
    let cause: EventCause

    static func subscribe(
        _ batch: StatementBatcher<NewSubscription, Answer>.Batch, _ database: Database
    ) throws -> [Answer] {
        let asked = batch.requests
        let rows = try batch.execute(
            """
            SELECT outcome, subscription_id, created
            FROM subscribe(\(asked.map { Int($0.club) }), \(asked.map { $0.customer }),
                           \(asked.map { _ in Identifier.uuid() }), \(asked.map { _ in Identifier.uuid() }),
                           \(asked.map { $0.cause.traceparent }), \(asked.map { $0.cause.correlationID }),
                           \(batch.holdsLane))
            """, in: database)
        return try zip(asked, rows).map { asked, row in
            let (outcome, id, created) = try row.decode(String.self, String?.self, Timestamp?.self)
            return switch (outcome, id, created) {
            case ("subscribed", let id?, let created?): .success(.init(id: id, createDate: created))
            case ("already-subscribed", let id?, _): .failure(SubscriptionProblem.alreadySubscribed(existing: id))
            case ("club-not-active", _, _): .failure(SubscriptionProblem.clubNotActive(asked.club))
            default: .failure(SubscriptionProblem.clubNotFound(String(asked.club)))
            }
        }
    }
}

private struct NewStatus: Sendable {
    typealias Answer = Result<SubscriptionStore.Change, Problem>

    let subscription: String
    let status: Int
    let effectDate: Timestamp?
    let returnAfterDays: Int?
    let details: String?
    let cause: EventCause

    static func change(
        _ batch: StatementBatcher<NewStatus, Answer>.Batch, _ database: Database
    ) throws -> [Answer] {
        let asked = batch.requests
        let rows = try batch.execute(
            """
            SELECT outcome, effect, returns
            FROM change_status(\(asked.map { $0.subscription }), \(asked.map { $0.status }), \(asked.map { $0.effectDate }),
                               \(asked.map { $0.returnAfterDays }), \(asked.map { $0.details }),
                               \(asked.map { _ in Identifier.uuid() }), \(asked.map { _ in Identifier.uuid() }),
                               \(asked.map { $0.cause.traceparent }), \(asked.map { $0.cause.correlationID }),
                               \(batch.holdsLane))
            """, in: database)
        return try zip(asked, rows).map { asked, row in
            let (outcome, effect, returns) = try row.decode(String.self, Timestamp?.self, Timestamp?.self)
            guard outcome == "changed", let effect else {
                return .failure(SubscriptionProblem.subscriptionNotFound(asked.subscription))
            }
            return .success(.init(effectDate: effect, returnsAt: returns))
        }
    }
}

extension RelaySignal {
    /// Raises itself when one of the answers is a success, which has published.
    fileprivate func raised<Value>(after answers: [Result<Value, Problem>]) -> [Result<Value, Problem>] {
        let isPublished = answers.contains { if case .success = $0 { true } else { false } }
        if isPublished { raise() }
        return answers
    }
}

extension PostgresError {
    /// Whether a row names a club or subscription that is gone. A status that is gone is no fault of the caller's: its
    /// seed row was deleted.
    fileprivate var isMissingReference: Bool {
        sqlState == SQLState.foreignKeyViolation && constraint != "subscription_status_history_status_id_fkey"
    }
}
