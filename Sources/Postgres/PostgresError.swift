public import Runtime

/// What went wrong between a function and its database, told apart by what a caller may conclude.
public enum PostgresError: Error, Sendable {
    /// No connection could be had: nothing was executed.
    case unavailable(reason: String)
    /// The connection broke while a statement ran: whether it took effect is unknown.
    case connectionLost(statement: String, reason: String)
    /// The deadline passed while a statement ran; it was asked to stop and its connection closed.
    case timedOut(statement: String)
    /// The server refused the statement: nothing of it took effect.
    case refused(Refusal)
    /// A column does not hold what the code expects: a fault of ours.
    case unexpectedResult(statement: String, reason: String)

    /// What the server said, see "Error and Notice Message Fields" in PostgreSQL's manual.
    public struct Refusal: Sendable {
        public let sqlState: String
        public let message: String
        public let detail: String?
        public let hint: String?
        public let constraint: String?
        /// Where in the statement, in characters from 1.
        public let position: Int?
        public let statement: String

        /// What the server would say, had libpq not cut the text.
        static func nulInParameter(of statement: String) -> Refusal {
            Refusal(
                sqlState: SQLState.characterNotInRepertoire, message: "a parameter holds a NUL character", detail: nil,
                hint: nil, constraint: nil, position: nil, statement: statement)
        }
    }

    /// The refusal's SQLSTATE, `nil` for every other case.
    public var sqlState: String? {
        guard case .refused(let refusal) = self else { return nil }
        return refusal.sqlState
    }

    /// The constraint that a refusal names.
    public var constraint: String? {
        guard case .refused(let refusal) = self else { return nil }
        return refusal.constraint
    }

    /// Serialization failure or deadlock: the whole transaction may be run again.
    public var isRetryable: Bool {
        sqlState == SQLState.serializationFailure || sqlState == SQLState.deadlockDetected
    }

    /// The tables have changed since the statement was prepared, or somebody dropped it: it did not run.
    var isOfStaleStatement: Bool {
        sqlState == SQLState.featureNotSupported || sqlState == SQLState.invalidSQLStatementName
    }
}

extension PostgresError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unavailable(let reason): "database unavailable: \(reason)"
        case .connectionLost(let statement, let reason): "connection lost during [\(statement)]: \(reason)"
        case .timedOut(let statement): "deadline passed during [\(statement)]"
        case .unexpectedResult(let statement, let reason): "unexpected result of [\(statement)]: \(reason)"
        case .refused(let refusal):
            "SQLSTATE \(refusal.sqlState): \(refusal.message)"
                + (refusal.constraint.map { " (constraint \($0))" } ?? "")
                + (refusal.detail.map { ": \($0)" } ?? "") + " in [\(refusal.statement)]"
        }
    }
}

extension PostgresError: ProblemConvertible {
    /// 503 when the database is away, cannot write, took too long or failed in a way that passes, such as a deadlock;
    /// everything else is a 500 with the id only.
    public var problem: Problem {
        switch self {
        case .unavailable:
            return busy("Nothing was done: the database cannot be reached. Try again shortly.", executed: "no")
        case .connectionLost:
            return busy(
                "The database connection broke while the request ran: it may or may not have taken effect.",
                executed: "unknown")
        case .timedOut:
            return busy(
                "The database did not answer in time: the request may or may not have taken effect.",
                executed: "unknown")
        case .refused(let refusal) where Self.refusedWrites.contains(refusal.sqlState):
            return busy("Nothing was done: the database takes no writes at the moment.", executed: "no")
        case .refused(let refusal) where Self.passingFaults.contains(refusal.sqlState):
            return busy(
                "Nothing was done: the database could not carry it out just now. It may be sent again.", executed: "no")
        case .refused, .unexpectedResult:
            return .internalError(debug: description)
        }
    }

    private static let refusedWrites: Set<String> = [SQLState.readOnlySQLTransaction, SQLState.diskFull]

    /// A query is cancelled by its time-out or an operator. In `Database.transaction` the last two come only after its
    /// last attempt.
    private static let passingFaults: Set<String> = [
        SQLState.outOfMemory, SQLState.tooManyConnections, SQLState.configurationLimitExceeded,
        SQLState.lockNotAvailable, SQLState.queryCanceled, SQLState.serializationFailure, SQLState.deadlockDetected,
    ]

    private func busy(_ detail: String, executed: String) -> Problem {
        Problem("database-unavailable", status: 503, title: "Database unavailable", detail: detail)
            .with("executed", executed).retryAfter(seconds: 1).with(debug: description)
    }
}
