import Glibc
public import Runtime

/// The sessions of one process with one database: opened when first needed, one per thread that asks at the same
/// time, kept for the next.
///
/// A thread holds its session only for the length of one closure, so nothing is held while an outside system is
/// called.
public final class Database: Sendable {
    private let url: String
    private let application: String
    private let statementTimeoutMilliseconds: Int
    private let idle = Lock<[Connection]>([])

    /// Longest wait for a session: an unreachable database must be known within a second.
    @usableFromInline static let connectMilliseconds = 900

    /// - Parameters:
    ///   - url: a libpq connection URI.
    ///   - application: shown in `pg_stat_activity`.
    ///   - statementTimeoutMilliseconds: the server's own limit, a second line behind the deadline that each call
    ///     brings; default 0, no limit.
    public init(url: String, application: String, statementTimeoutMilliseconds: Int = 0) {
        self.url = url
        self.application = application
        self.statementTimeoutMilliseconds = statementTimeoutMilliseconds
    }

    /// The database that a function is configured with: `DATABASE_URL`, and the function's own name and time limit.
    public convenience init(_ settings: Settings) {
        self.init(
            url: settings.text("DATABASE_URL"),
            application: settings.text("TAPROOM_FUNCTION", default: "function"),
            statementTimeoutMilliseconds: settings.timeoutMilliseconds)
    }

    /// Runs `body` with a session of its own. One that broke is not used again.
    public func withConnection<Result>(deadline: Deadline, _ body: (Connection) throws -> Result) throws -> Result {
        let connection = try checkOut(deadline: deadline)
        defer { checkIn(connection) }
        return try body(connection)
    }

    /// Runs one statement in a transaction of its own.
    @discardableResult
    public func execute(_ sql: SQL, deadline: Deadline) throws -> Rows {
        try withConnection(deadline: deadline) { try $0.execute(sql, deadline: deadline) }
    }

    /// Runs `body` between BEGIN and COMMIT, and rolls back when it throws. A serialization failure, a deadlock or a
    /// statement that a migration has outdated runs it again, at most five times with a random pause, so it must have no
    /// effect outside the database.
    public func transaction<Result>(deadline: Deadline, _ body: (Connection) throws -> Result) throws -> Result {
        var attempt = 1
        while true {
            do {
                return try withConnection(deadline: deadline) { connection in
                    try connection.transaction(deadline: deadline, body)
                }
            } catch let error as PostgresError
                where (error.isRetryable || error.isOfStaleStatement) && attempt < 5 && !deadline.hasPassed
            {
                attempt += 1
                usleep(UInt32.random(in: 10_000...200_000))
            }
        }
    }

    private func checkOut(deadline: Deadline) throws -> Connection {
        // A statement that was sent with no time to wait for it would have an outcome that nobody knows.
        if deadline.hasPassed { throw PostgresError.unavailable(reason: "no time was left") }
        while let connection = takeIdle() {
            if connection.isAlive() { return connection }
        }
        return try Connection(
            url: url, application: application,
            // To compile a statement takes longer than any statement of ours.
            options: ["statement_timeout": "\(statementTimeoutMilliseconds)", "timezone": "UTC", "jit": "off"],
            deadline: deadline.atMost(milliseconds: Self.connectMilliseconds))
    }

    private func takeIdle() -> Connection? {
        // The session that was used last is the likeliest to be warm.
        idle.withLock { UncheckedTransfer($0.popLast()) }.value
    }

    private func checkIn(_ connection: Connection) {
        guard connection.isUsable, connection.isIdle else { return }
        let transfer = UncheckedTransfer(connection)
        idle.withLock { $0.append(transfer.value) }
    }
}

extension Connection {
    /// Runs `body` between BEGIN and COMMIT, and rolls back when it throws.
    /// - Parameter begin: BEGIN with the transaction's modes.
    public func transaction<Result>(
        begin: SQL = "BEGIN", deadline: Deadline, _ body: (Connection) throws -> Result
    ) throws -> Result {
        try execute(begin, deadline: deadline)
        let result: Result
        do {
            result = try body(self)
        } catch {
            // A session that cannot roll back is closed by the failure, and the server rolls back then.
            _ = try? execute("ROLLBACK", deadline: deadline.atMost(milliseconds: 1000))
            throw error
        }
        // PostgreSQL would roll back on COMMIT too, and report success.
        if isInFailedTransaction {
            try execute("ROLLBACK", deadline: deadline)
            throw PostgresError.unexpectedResult(
                statement: "COMMIT", reason: "a statement of the transaction failed, and its error was kept back")
        }
        try execute("COMMIT", deadline: deadline)
        return result
    }
}

/// `@unchecked Sendable`: carries a session from the thread that gives it up to the one that takes it; between the two
/// nobody else has it, which is what the lock around the idle list, or around a snapshot's keeper, sees to.
struct UncheckedTransfer<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}
