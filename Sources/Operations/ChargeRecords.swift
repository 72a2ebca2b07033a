public import Postgres
import Runtime

/// What the charge ledger holds, for operators. It reads the ledger's tables and changes nothing.
public struct ChargeRecords: Sendable {
    let database: Database

    public init(_ database: Database) { self.database = database }

    /// A state as operators see it: an attempt whose lease is over has died, so its outcome is unknown.
    public enum State: String, Sendable, CaseIterable, Encodable, PostgresValue {
        case unknown, sending, charged, declined, released

        public var postgresText: String { rawValue }
        public init?(postgresText: String) { self.init(rawValue: postgresText) }

        /// The states that charges are recorded in which are seen in this one.
        var recorded: [State] { self == .unknown ? [.unknown, .sending] : [self] }
    }

    /// One charge: the row that decides for a subscription and a month.
    public struct Entry: Sendable, Encodable {
        public let id: Int
        public let subscription: String
        public let period: String
        public let state: State
        public let requestID: String
        public let attempts: Int
        public let ageSeconds: Int
        public let createdAt: Timestamp
        public let chargedAt: Timestamp?
        /// When the subscription was deleted; the charge decides nothing since.
        public let retiredAt: Timestamp?
        /// Since when nobody knows whether it was charged; `nil` when somebody does.
        public let doubtSince: Timestamp?
        /// From when on `settle-charges` sends a charge in doubt again, unless `ecommerce.resend` is `manual`; `nil`
        /// also when another charge has taken its request id.
        public let settledFrom: Timestamp?
        /// Request ids of orders that the platform made beside the one on the books.
        public let otherOrders: [String]

        private enum CodingKeys: String, CodingKey {
            case id, subscription = "subscription_id", period, state, requestID = "request_id", attempts
            case ageSeconds = "age_seconds", createdAt = "created_at", chargedAt = "charged_at"
            case retiredAt = "retired_at", doubtSince = "doubt_since", settledFrom = "settled_from"
            case otherOrders = "other_orders"
        }
    }

    /// The latest charges first.
    /// - Parameters:
    ///   - period: such as `2026-11`; `nil` for all, like every other condition.
    ///   - olderThan: seconds since the charge was begun.
    public func list(period: String?, state: State?, olderThan seconds: Int?, limit: Int) throws -> [Entry] {
        // The states say which index holds the few that are asked for.
        try entries(
            """
            SELECT \(unsafeText: Self.columns)
            FROM charge c, LATERAL (\(unsafeText: Self.seen)) s
            WHERE (\(period)::text IS NULL OR period = \(period)::bpchar)
                AND state = ANY (\(state?.recorded ?? State.allCases)::text[])
                AND (\(state)::text IS NULL OR seen = \(state)::text)
                AND (\(seconds)::bigint IS NULL
                     OR created_at < clock_timestamp() - \(seconds)::bigint * interval '1 second')
            ORDER BY id DESC LIMIT \(limit)::bigint
            """)
    }

    /// The charges that an id names: a charge by its number, and those of a subscription, the latest first.
    /// `charge:12` is a charge also where a subscription has the id 12.
    public func find(_ id: String) throws -> [Entry] {
        let number = Int(id.hasPrefix("charge:") ? String(id.dropFirst("charge:".count)) : id)
        // Each of the three has an index of its own.
        return try entries(
            """
            SELECT \(unsafeText: Self.columns)
            FROM (SELECT * FROM charge WHERE subscription_id = \(id) AND retired_at IS NULL
                  UNION ALL SELECT * FROM charge WHERE subscription_id = \(id) AND retired_at IS NOT NULL
                  UNION ALL SELECT * FROM charge WHERE id = \(number)::bigint AND subscription_id <> \(id)) c,
                LATERAL (\(unsafeText: Self.seen)) s
            ORDER BY id DESC
            """)
    }

    /// What `entries` reads of a charge c that is `seen` in a state.
    private static let columns = """
        id, subscription_id, period, seen, request_id, attempt,
        floor(extract(epoch FROM clock_timestamp() - created_at))::bigint,
        created_at AT TIME ZONE 'UTC', charged_at AT TIME ZONE 'UTC', retired_at AT TIME ZONE 'UTC',
        CASE WHEN seen = 'unknown' OR seen = 'sending' AND in_doubt THEN coalesce(doubt_since, lease_until) END
            AT TIME ZONE 'UTC',
        CASE WHEN seen = 'unknown' AND NOT EXISTS (
            SELECT FROM charge_request r WHERE r.request_id = c.request_id AND r.charge_id <> c.id)
        THEN greatest(settle_at, lease_until) END AT TIME ZONE 'UTC',
        (SELECT string_agg(DISTINCT e.request_id, ' ') FROM charge_event e
         WHERE e.charge_id = c.id AND e.what = 'charged' AND e.request_id <> c.request_id)
        """

    private static let seen = """
        SELECT CASE WHEN c.state = 'sending' AND c.lease_until <= now() THEN 'unknown' ELSE c.state END AS seen
        """

    private func entries(_ sql: SQL) throws -> [Entry] {
        try rows(sql, with: "charge_event", "charge_request").map { row in
            let (
                id, subscription, period, state, requestID, attempts, age, created, charged, retired, doubt, settled,
                others
            ) = try row.decode(
                Int.self, String.self, String.self, State.self, String.self, Int.self, Int.self, Timestamp.self,
                Timestamp?.self, Timestamp?.self, Timestamp?.self, Timestamp?.self, String?.self)
            return Entry(
                id: id, subscription: subscription, period: period, state: state, requestID: requestID,
                attempts: attempts, ageSeconds: age, createdAt: created, chargedAt: charged, retiredAt: retired,
                doubtSince: doubt, settledFrom: settled,
                otherOrders: others?.split(separator: " ").map(String.init) ?? [])
        }
    }

    /// The month that PostgreSQL's clock is in.
    /// - Parameter zone: the business time zone, by PostgreSQL's name.
    public func currentPeriod(zone: String) throws -> String {
        try database.execute("SELECT billing_period(clock_timestamp(), \(zone))", deadline: Self.deadline)[0]
            .decode(String.self)
    }

    /// Subscriptions whose charge of this month the platform declined with 402, unless an operator has settled it
    /// since. Its other refusals may be of our making, such as a 404 for a mistyped address.
    /// - Returns: their ids in UTF-8: a set of `String` takes canonically equivalent texts for one, the database does not.
    public func declined(period: String) throws -> Set<[UInt8]> {
        let rows = try rows(
            """
            SELECT c.subscription_id FROM charge c
            WHERE c.period = \(period) AND c.state = 'declined' AND c.retired_at IS NULL
                AND 402 = (SELECT e.platform_status FROM charge_event e
                    WHERE e.charge_id = c.id AND e.what <> 'begun' ORDER BY e.id DESC LIMIT 1)
                AND NOT EXISTS (SELECT FROM charge_settlement s WHERE s.charge_id = c.id
                    AND s.at > (SELECT max(e.at) FROM charge_event e WHERE e.charge_id = c.id))
            """, with: "charge_event", "charge_settlement")
        return Set(try rows.map { Array(try $0.decode(String.self).utf8) })
    }

    /// Request ids that nobody may be charged by any more this month: those that were sent for subscriptions which have
    /// been deleted since, and those that the platform declined with 402, since it may remember what it said of them.
    public func usedRequestIDs(period: String) throws -> Set<String> {
        let rows = try rows(
            """
            SELECT e.request_id FROM charge c JOIN charge_event e ON e.charge_id = c.id
            WHERE c.period = \(period) AND c.retired_at IS NOT NULL
            UNION SELECT request_id FROM charge WHERE period = \(period) AND retired_at IS NOT NULL
            UNION SELECT e.request_id FROM charge c JOIN charge_event e ON e.charge_id = c.id
            WHERE c.period = \(period) AND c.state IN ('declined', 'released')
                AND e.what = 'declined' AND e.platform_status = 402
            """, with: "charge_event")
        return Set(try rows.map { try $0.decode(String.self) })
    }

    /// - Parameter tables: those that are read beside `charge`.
    private func rows(_ sql: SQL, with tables: String...) throws -> Rows {
        try database.read(locking: ["charge"] + tables, deadline: Self.deadline) {
            try $0.execute(sql, deadline: Self.deadline)
        }
    }

    static var deadline: Deadline { .after(milliseconds: 60_000) }
}
