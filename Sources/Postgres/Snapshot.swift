public import Runtime

/// One state of the database, which several sessions can read at the same time.
public struct Snapshot: Sendable {
    /// When it was taken, by the server's clock.
    public let takenAt: Timestamp

    fileprivate static let begin: SQL = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"

    /// How long a transaction lasts is for the deadline to say. A server before 17 has no such limit.
    fileprivate static let unlimited = """
        SELECT set_config('transaction_timeout', '0', true) WHERE current_setting('transaction_timeout', true) IS NOT NULL
        """

    fileprivate static func lock(_ tables: [String]) -> String {
        "LOCK TABLE \(tables.joined(separator: ", ")) IN ACCESS SHARE MODE"
    }

    fileprivate let database: Database
    fileprivate let name: String
    /// The statement that locks its tables.
    fileprivate let lock: String
    /// The session whose transaction keeps this state and its tables.
    fileprivate let keeper: Lock<UncheckedTransfer<Connection>>

    /// Runs `body` in a transaction of its own that sees this state and cannot write. From any thread, as long as the
    /// closure of `withSnapshot` runs. Where somebody waits for one of its tables, it is the transaction that keeps the
    /// state, one `body` after the other: a session that waits behind them would wait for that one, and that one for it.
    public func read<Result>(deadline: Deadline, _ body: (Connection) throws -> Result) throws -> Result {
        var hasBegun = false
        do {
            return try database.withConnection(deadline: deadline) { connection in
                try connection.transaction(begin: Self.begin, deadline: deadline) { connection in
                    try connection.run(
                        script: "SET TRANSACTION SNAPSHOT '\(name)'; \(lock) NOWAIT; \(Self.unlimited)",
                        deadline: deadline)
                    hasBegun = true
                    return try body(connection)
                }
            }
        } catch let error as PostgresError where error.sqlState == SQLState.lockNotAvailable && !hasBegun {
            return try keeper.withLock { try body($0.value) }
        }
    }
}

extension Database {
    /// Runs `body` in a transaction that sees one state of the database and cannot write.
    /// - Parameter tables: all that `body` reads: nobody may truncate them meanwhile, since that would empty them in this
    ///   state too. While somebody has one of them locked, this waits, and gives up and asks again before anybody looks
    ///   for a deadlock.
    public func read<Result>(
        locking tables: [String], deadline: Deadline, _ body: (Connection) throws -> Result
    ) throws -> Result {
        var hasBegun = false
        return try retryingOnLockTimeout(until: deadline, unless: hasBegun) {
            try withConnection(deadline: deadline) { connection in
                try connection.transaction(begin: Snapshot.begin, deadline: deadline) { connection in
                    // Before any statement that needs a snapshot, so that what the lock is waited for is seen.
                    try connection.run(
                        script: "SET LOCAL lock_timeout = \(lockMilliseconds); \(Snapshot.lock(tables))",
                        deadline: deadline)
                    hasBegun = true
                    return try body(connection)
                }
            }
        }
    }

    /// Runs `body` with the present state, which a session of its own keeps meanwhile.
    /// - Parameter tables: as for `read`.
    public func withSnapshot<Result>(
        locking tables: [String], deadline: Deadline, _ body: (Snapshot) throws -> Result
    ) throws -> Result {
        try read(locking: tables, deadline: deadline) { keeper in
            let (name, takenAt) = try keeper.run(
                script: "\(Snapshot.unlimited); SELECT pg_export_snapshot(), clock_timestamp() AT TIME ZONE 'UTC'",
                deadline: deadline)[0].decode(String.self, Timestamp.self)
            return try body(
                Snapshot(
                    takenAt: takenAt, database: self, name: name, lock: Snapshot.lock(tables),
                    keeper: Lock(UncheckedTransfer(keeper))))
        }
    }
}
