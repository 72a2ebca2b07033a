public import Runtime

/// One state of the database, which several sessions can read at the same time.
public struct Snapshot: Sendable {
    /// When its transaction began, by the server's clock.
    public let takenAt: Timestamp

    fileprivate static let begin: SQL = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"

    fileprivate let database: Database
    fileprivate let name: String

    /// Runs `body` in a transaction of its own that sees this state and cannot write. From any thread, as long as the
    /// closure of `withSnapshot` runs.
    public func read<Result>(deadline: Deadline, _ body: (Connection) throws -> Result) throws -> Result {
        try database.withConnection(deadline: deadline) { connection in
            try connection.transaction(begin: Self.begin, deadline: deadline) { connection in
                try connection.run(script: "SET TRANSACTION SNAPSHOT '\(name)'", deadline: deadline)
                return try body(connection)
            }
        }
    }
}

extension Database {
    /// Runs `body` with the present state, which a session of its own keeps meanwhile.
    public func withSnapshot<Result>(deadline: Deadline, _ body: (Snapshot) throws -> Result) throws -> Result {
        try withConnection(deadline: deadline) { keeper in
            try keeper.transaction(begin: Snapshot.begin, deadline: deadline) { keeper in
                let (name, takenAt) = try keeper.execute(
                    "SELECT pg_export_snapshot(), now() AT TIME ZONE 'UTC'", deadline: deadline)[0]
                    .decode(String.self, Timestamp.self)
                return try body(Snapshot(takenAt: takenAt, database: self, name: name))
            }
        }
    }
}
