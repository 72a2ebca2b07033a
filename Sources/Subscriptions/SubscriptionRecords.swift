public import Postgres
public import Runtime

/// Everything on record about a subscription, for those who answer a customer's question.
public struct SubscriptionRecords: Sendable {
    let database: Database

    public init(_ database: Database) { self.database = database }

    public struct Record: Encodable, Sendable {
        let id: String
        let clubID: Int?
        let customerID: String?
        let createDate: Timestamp?
        /// Absent while the history says nothing.
        let status: Status?
        let nextChange: ScheduledStatus?
        /// The latest effect date first; what lies in the future is in it.
        let history: [HistoryRow]
        /// The latest month first; those of a deleted subscription of the same id are not in it.
        let charges: [ChargeRow]

        enum CodingKeys: String, CodingKey {
            case id, status, history, charges
            case clubID = "club_id"
            case customerID = "customer_id"
            case createDate = "create_date"
            case nextChange = "next_change"
        }
    }

    struct HistoryRow: Encodable, Sendable {
        let id: String
        let statusID: Int?
        let status: String?
        let effectDate: Timestamp?
        let createDate: Timestamp?
        let details: String?
        /// Whether it has yet to take effect; `nil` for a row without an effect date, which never does.
        let isFuture: Bool?

        enum CodingKeys: String, CodingKey {
            case id, status, details
            case statusID = "status_id"
            case effectDate = "effect_date"
            case createDate = "create_date"
        }
    }

    struct ChargeRow: Encodable, Sendable {
        let period: String
        let status: String
        let requestID: String
        let attempts: Int
        let chargedAt: Timestamp?
        /// Since when nobody knows whether the platform made the order; absent when it is known.
        let doubtSince: Timestamp?

        enum CodingKeys: String, CodingKey {
            case period, status, attempts
            case requestID = "request_id"
            case chargedAt = "charged_at"
            case doubtSince = "doubt_since"
        }
    }

    private static let tables = ["subscription", "status", "subscription_status_history", "charge"]

    /// - Throws: 404 `subscription-not-found`.
    public func record(of subscription: String, deadline: Deadline) throws -> Record {
        try database.read(locking: Self.tables, deadline: deadline) { connection in
            let found = try connection.execute(
                """
                SELECT club_id, customer_store_id, create_date FROM subscription WHERE id = \(subscription)
                """, deadline: deadline)
            guard let row = found.first else { throw SubscriptionProblem.subscriptionNotFound(subscription) }
            let (club, customer, created) = try row.decode(Int?.self, String?.self, Timestamp?.self)
            let history = try history(of: subscription, connection, deadline: deadline)
            // Of several rows for one instant the first is the one that counts.
            let current = history.first { $0.isFuture == false }
            let instant = history.last { $0.isFuture == true }?.effectDate
            let next = history.first { $0.isFuture == true && $0.effectDate == instant }
            return Record(
                id: subscription, clubID: club, customerID: customer, createDate: created,
                status: Status(id: current?.statusID, name: current?.status),
                nextChange: ScheduledStatus(id: next?.statusID, name: next?.status, effectDate: next?.effectDate),
                history: history, charges: try charges(of: subscription, connection, deadline: deadline))
        }
    }

    /// The row that counts most first. What is future is judged for all of them at one instant.
    private func history(
        of subscription: String, _ connection: Connection, deadline: Deadline
    ) throws -> [HistoryRow] {
        try connection.execute(
            """
            SELECT h.id, h.status_id, t.name, h.effect_date, h.create_date, h.details,
                   h.effect_date > (SELECT utc_now())
            FROM subscription_status_history h LEFT JOIN status t ON t.id = h.status_id
            WHERE h.subscription_id = \(subscription)
            ORDER BY h.effect_date DESC NULLS LAST, h.create_date DESC NULLS LAST, h.id DESC
            """, deadline: deadline
        ).map { row in
            let (id, statusID, status, effect, created, details, isFuture) = try row.decode(
                String.self, Int?.self, String?.self, Timestamp?.self, Timestamp?.self, String?.self, Bool?.self)
            return HistoryRow(
                id: id, statusID: statusID, status: status, effectDate: effect, createDate: created,
                details: details, isFuture: isFuture)
        }
    }

    private func charges(
        of subscription: String, _ connection: Connection, deadline: Deadline
    ) throws -> [ChargeRow] {
        try connection.execute(
            """
            SELECT c.period, CASE WHEN c.state = 'sending' AND c.lease_until <= clock_timestamp() THEN 'unknown'
                                  ELSE c.state END,
                   c.request_id, c.attempt, c.charged_at AT TIME ZONE 'UTC', d.since AT TIME ZONE 'UTC'
            FROM charge c LEFT JOIN charge_doubt d ON d.charge_id = c.id
            WHERE c.subscription_id = \(subscription) AND c.retired_at IS NULL ORDER BY c.period DESC
            """, deadline: deadline
        ).map { row in
            let (period, state, request, attempts, charged, doubt) = try row.decode(
                String.self, String.self, String.self, Int.self, Timestamp?.self, Timestamp?.self)
            return ChargeRow(
                period: period, status: state, requestID: request, attempts: attempts, chargedAt: charged,
                doubtSince: doubt)
        }
    }
}
