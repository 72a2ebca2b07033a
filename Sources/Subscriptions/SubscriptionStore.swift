public import Postgres
public import Runtime

/// Status ids of the approved model, for clubs and for subscriptions.
public enum StatusID {
    public static let active = 1
    /// A subscription's: cancelled. A club's: closed to new subscribers, still charged.
    public static let cancelled = 2
    /// A subscription's.
    public static let paused = 3
}

/// Subscribes customers and changes the status of subscriptions.
public struct SubscriptionStore: Sendable {
    let database: Database

    public init(_ database: Database) { self.database = database }

    public struct Subscribed: Sendable {
        public let id: String
        public let createDate: Timestamp
    }

    /// Adds a subscription with its ACTIVE history row, in one statement.
    /// - Parameter customer: 1 to 36 characters without NUL; the caller has checked.
    /// - Throws: 404 `club-not-found`, 409 `club-not-active`, 409 `already-subscribed` with the existing id.
    public func subscribe(customer: String, toClub club: Int32, deadline: Deadline) throws -> Subscribed {
        let rows: Rows
        do {
            rows = try database.execute(
                """
                SELECT outcome, subscription_id, created
                FROM subscribe(\(Int(club)), \(customer), \(Identifier.uuid()), \(Identifier.uuid()))
                """, deadline: deadline)
        } catch let error as PostgresError where error.sqlState == SQLState.foreignKeyViolation {
            // The club was deleted between the check and the row.
            throw SubscriptionProblem.clubNotFound(String(club))
        }
        let (outcome, id, created) = try rows[0].decode(String.self, String?.self, Timestamp?.self)
        switch (outcome, id, created) {
        case ("subscribed", let id?, let created?): return Subscribed(id: id, createDate: created)
        case ("already-subscribed", let id?, _): throw SubscriptionProblem.alreadySubscribed(existing: id)
        case ("club-not-active", _, _): throw SubscriptionProblem.clubNotActive(club)
        default: throw SubscriptionProblem.clubNotFound(String(club))
        }
    }

    public struct Change: Sendable {
        public let effectDate: Timestamp
        public let returnsAt: Timestamp?
    }

    /// Writes a status change. Every automatic return that has not taken effect yet is taken back, whatever the change
    /// is; a pause with an interval schedules a new one.
    /// - Parameters:
    ///   - status: one of `StatusID`.
    ///   - effectDate: default now, by the database's clock.
    ///   - returnAfterDays: for a pause, 1 to 3650.
    /// - Throws: 404 `subscription-not-found`.
    public func changeStatus(
        of subscription: String, to status: Int, effectDate: Timestamp?, returnAfterDays: Int?, details: String?,
        deadline: Deadline
    ) throws -> Change {
        let rows: Rows
        do {
            rows = try database.execute(
                """
                SELECT outcome, effect, returns
                FROM change_status(\(subscription), \(status), \(effectDate), \(returnAfterDays), \(details),
                                   \(Identifier.uuid()), \(Identifier.uuid()))
                """, deadline: deadline)
        } catch let error as PostgresError where error.sqlState == SQLState.foreignKeyViolation {
            throw SubscriptionProblem.subscriptionNotFound(subscription)
        }
        let (outcome, effect, returns) = try rows[0].decode(String.self, Timestamp?.self, Timestamp?.self)
        guard outcome == "changed", let effect else { throw SubscriptionProblem.subscriptionNotFound(subscription) }
        return Change(effectDate: effect, returnsAt: returns)
    }
}

enum SQLState {
    static let foreignKeyViolation = "23503"
}
