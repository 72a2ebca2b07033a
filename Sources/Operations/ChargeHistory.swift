public import Postgres

extension ChargeRecords {
    /// One line of a charge's audit trail.
    public struct Event: Sendable, Encodable {
        public let attempt: Int
        public let requestID: String
        public let at: Timestamp
        /// `begun`, or what came of it: `charged`, `declined`, `released`, `unknown`.
        public let what: String
        public let platformStatus: Int?
        /// The beginning of the platform's body, or why there was none.
        public let excerpt: String?

        private enum CodingKeys: String, CodingKey {
            case attempt, requestID = "request_id", at, what, platformStatus = "platform_status", excerpt
        }
    }

    /// What an operator has decided.
    public struct Settlement: Sendable, Encodable {
        public let outcome: String
        public let order: String?
        public let who: String
        public let why: String
        public let at: Timestamp
    }

    /// A charge with everything that happened to it, in order.
    public struct History: Sendable, Encodable {
        public let charge: Entry
        public let events: [Event]
        public let settlements: [Settlement]
        /// The platform's answer: JSON text.
        public let order: String?

        /// Whether what the charge is now was said by an operator, and not by the platform.
        public let isAnOperatorsWord: Bool

        private enum CodingKeys: String, CodingKey {
            case charge, events, settlements, order, isAnOperatorsWord = "operators_word"
        }
    }

    /// Everything that happened to a charge; `nil` when it was deleted since it was found.
    /// - Throws: `PostgresError`.
    public func history(of charge: Entry) throws -> History? {
        let events = try database.execute(
            """
            SELECT attempt, request_id, at AT TIME ZONE 'UTC', what, platform_status, excerpt
            FROM charge_event WHERE charge_id = \(charge.id) ORDER BY id
            """, deadline: Self.deadline
        ).map { row in
            let (attempt, requestID, at, what, status, excerpt) = try row.decode(
                Int.self, String.self, Timestamp.self, String.self, Int?.self, String?.self)
            return Event(
                attempt: attempt, requestID: requestID, at: at, what: what, platformStatus: status, excerpt: excerpt)
        }
        let settlements = try database.execute(
            """
            SELECT outcome, platform_order, who, why, at AT TIME ZONE 'UTC'
            FROM charge_settlement WHERE charge_id = \(charge.id) ORDER BY id
            """, deadline: Self.deadline
        ).map { row in
            let (outcome, order, who, why, at) = try row.decode(
                String.self, String?.self, String.self, String.self, Timestamp.self)
            return Settlement(outcome: outcome, order: order, who: who, why: why, at: at)
        }
        let recorded = try database.execute(
            """
            SELECT c.platform_order, EXISTS (
                SELECT FROM charge_settlement s WHERE s.charge_id = c.id
                    AND s.at > (SELECT max(e.at) FROM charge_event e WHERE e.charge_id = c.id))
            FROM charge c WHERE c.id = \(charge.id)
            """, deadline: Self.deadline
        ).first
        guard let (order, isAnOperatorsWord) = try recorded?.decode(String?.self, Bool.self) else { return nil }
        return History(
            charge: charge, events: events, settlements: settlements, order: order,
            isAnOperatorsWord: isAnOperatorsWord)
    }
}
