public import Postgres
public import Runtime

/// Which subscriptions may be charged now: ACTIVE, in a club that is ACTIVE or CLOSED.
public struct Eligibility: Sendable {
    let database: Database

    public init(_ database: Database) { self.database = database }

    /// At most `limit` ids greater than `after`, in order of id.
    public func page(after: String?, limit: Int, deadline: Deadline) throws -> [String] {
        try settle(deadline)
        return try retryingOnLockTimeout(until: deadline) {
            try database.execute(
                "SELECT id FROM eligible_page_now(\(after)::varchar, \(limit)) e(id)", deadline: deadline
            ).map { try $0.decode(String.self) }
        }
    }

    /// Writes all of them as a JSON array while the database delivers them; memory does not grow with their number.
    /// Nothing is written when the database fails before the first row.
    public func writeAll(to writer: any BodyWriter, deadline: Deadline) throws {
        try settle(deadline)
        let array = JSONArrayOfPieces(writer)
        try database.withSnapshot(locking: Self.tables, deadline: deadline) { snapshot in
            try (0..<Self.readers).inParallel { part in
                try array.append { receive in
                    try snapshot.read(deadline: deadline) { connection in
                        try connection.copyOut(
                            """
                            COPY (SELECT * FROM eligible_in_json('\(snapshot.takenAt.text)', \(part), \(Self.readers)))
                            TO STDOUT (FORMAT binary)
                            """, deadline: deadline, receive: receive)
                    }
                }
            }
        }
        try array.finish()
    }

    /// The answer is right without it; but what others left unsettled costs every reader its time. Who is in the way of it
    /// is not waited for.
    private func settle(_ deadline: Deadline) throws {
        try database.execute("SELECT settle_subscriptions(\(Self.settledAtOnce)::int)", deadline: deadline)
    }

    /// What is read: as `eligible_page_now` has it.
    private static let tables = [
        "club", "club_status_history", "subscription", "subscription_status_history", "active_interval",
        "unsettled_subscription",
    ]

    /// How many unsettled subscriptions a reader settles at most.
    static let settledAtOnce = 10_000

    /// Sessions that read the list at the same time: one alone takes longer to find the ids than a client to receive
    /// them.
    private static let readers = 2
}
