import Postgres

/// Why a migration was not run. In every case the database is as it was after the last revision that succeeded.
public enum MigrationError: Error, Sendable {
    /// The files themselves are wrong: every problem of the folder at once.
    case invalidFiles([FileProblem])
    /// The folder cannot be read.
    case unreadable(path: String, reason: String)
    /// A target, range or revision id that the folder or the database does not allow; the text says why.
    case invalidTarget(String)
    /// The database's own record does not fit the folder, or somebody else changed it meanwhile.
    case inconsistent(String)
    /// A statement failed; its whole revision was rolled back.
    case failed(FileProblem, remains: String?)
    /// Another run held the lock for all of the time that this one was willing to wait.
    case locked(String)
    /// The database is in an encoding that does not hold every text.
    case encoding(String)
}

extension MigrationError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .invalidFiles(let problems): problems.map(\.description).joined(separator: "\n")
        case .unreadable(let path, let reason): "\(path): \(reason)"
        case .invalidTarget(let text), .inconsistent(let text), .locked(let text): text
        case .encoding(let name):
            "the database's encoding is \(name), in which not every text can be recorded: make one with "
                + "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        case .failed(let problem, let remains):
            "\(problem)\nThe revision was rolled back; the database is at \(remains ?? "<base>")."
        }
    }

    /// Whether the text begins with the file or folder that is wrong, and so with the service.
    public var namesFile: Bool {
        switch self {
        case .invalidFiles, .unreadable, .failed: true
        case .invalidTarget, .inconsistent, .locked, .encoding: false
        }
    }

    static func unknown(revision: String) -> MigrationError {
        .invalidTarget("Can't locate revision identified by '\(revision)'")
    }
}

extension FileProblem {
    /// What the server refused, at the line that it points to, else at the statement's first.
    /// - Parameter statement: the one that ran; `nil` when it was the transaction as a whole.
    /// - Returns: `nil` for an error that is not the file's fault, such as a lost connection.
    init?(_ error: PostgresError, of statement: Statement?, path: String) {
        switch error {
        case .refused(let refusal):
            let before = (statement?.text ?? "").unicodeScalars.prefix(max(0, (refusal.position ?? 1) - 1))
            let more = [refusal.detail, refusal.hint].compactMap(\.self).map { "; \($0)" }.joined()
            self.init(
                path: path, line: (statement?.line ?? 1) + before.count { $0 == "\n" },
                text: "\(refusal.message) (SQLSTATE \(refusal.sqlState))\(more)")
        case .unexpectedResult(_, let reason):
            self.init(path: path, line: statement?.line ?? 1, text: reason)
        case .unavailable, .connectionLost, .timedOut: return nil
        }
    }

    /// For a database that we have migrated, that says it is at base and is not.
    var meetsItsOwnTables: FileProblem {
        FileProblem(
            path: path, line: line,
            text: "\(text): when alembic_version was emptied, stamp the revision that the database is really at, which "
                + "is head when this release had worked with it")
    }

    /// - Parameter holders: who keeps the lock, for people.
    func lacksLock(_ holders: String) -> FileProblem {
        FileProblem(
            path: path, line: line,
            text: "\(text): it got no lock\(holders); let others finish or end them, then run this command again")
    }
}
