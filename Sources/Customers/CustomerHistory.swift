public import Postgres
public import Runtime

/// Everything that ever happened to a customer, in order.
public struct CustomerHistory: Sendable {
    private let database: Database

    public init(_ database: Database) { self.database = database }

    public struct Entry: Encodable, Sendable {
        let version: Int
        let type: String
        let recordedAt: Instant
        /// What the event says beside its type.
        let data: EventData
        /// The request or event that led to it; absent where nobody said.
        let causationID: String?
        let correlationID: String?

        enum CodingKeys: String, CodingKey {
            case version, type, data
            case recordedAt = "recorded_at"
            case causationID = "causation_id"
            case correlationID = "correlation_id"
        }
    }

    /// - Throws: 404 `customer-not-found`.
    public func entries(of customer: String, deadline: Deadline) throws -> [Entry] {
        let rows = try database.execute(
            """
            SELECT version, type, recorded_at, data, metadata->>'causation_id', metadata->>'correlation_id'
            FROM customer_event WHERE stream = \(customer) ORDER BY version
            """, deadline: deadline)
        guard !rows.isEmpty else { throw CustomerProblem.notFound(customer) }
        return try rows.map { row in
            let (version, type, recordedAt, data, causation, correlation) = try row.decode(
                Int.self, String.self, Instant.self, String.self, String?.self, String?.self)
            return Entry(
                version: version, type: type, recordedAt: recordedAt,
                data: try JSON.decode(EventData.self, from: Array(data.utf8)), causationID: causation,
                correlationID: correlation)
        }
    }
}
