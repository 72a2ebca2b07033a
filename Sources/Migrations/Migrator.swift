import Glibc
public import Postgres
import Runtime

/// Brings one database along the line of one folder.
///
/// Each revision is one transaction together with its version row. It waits a few seconds at a time for a lock, since
/// writers queue behind it. Runs on the same database wait for each other; the second finds what the first has done.
/// The database may be one that Alembic has migrated, and Alembic can go on after us.
public struct Migrator {
    let connection: Connection
    let folder: MigrationFolder
    private let lock: MigrationLock
    private let patienceMilliseconds: Int
    private let progress: (MigrationProgress) -> Void

    /// - Parameters:
    ///   - connection: a session nobody else uses meanwhile, without statement time-out. The caller closes it.
    ///   - patienceMilliseconds: longest wait for another run, and for the locks of one step; default 10 minutes.
    ///   - progress: called before each step and each repetition of it, and once when a wait for another run begins.
    public init(
        connection: Connection, folder: MigrationFolder, patienceMilliseconds: Int = 600_000,
        progress: @escaping (MigrationProgress) -> Void = { _ in }
    ) {
        self.connection = connection
        self.folder = folder
        self.progress = progress
        self.patienceMilliseconds = patienceMilliseconds
        lock = MigrationLock(connection: connection, patienceMilliseconds: patienceMilliseconds)
    }

    /// The database's revision; `nil` at base, also when there is no version table yet.
    /// - Throws: `MigrationError.inconsistent` when the version table holds several revisions, `PostgresError`.
    public func current() throws -> String? {
        let versions = try versions()
        guard versions.count < 2 else {
            throw MigrationError.inconsistent(
                "alembic_version holds \(versions.count) revisions (\(versions.joined(separator: ", "))): "
                    + "migrations here are one line: merge the branches, or stamp --purge what the database is at")
        }
        return versions.first
    }

    /// Whether nothing is left to apply.
    public func isAtHead() throws -> Bool { try current() == folder.head }

    /// The database's; only in `UTF8` does it hold every text.
    public func encoding() throws -> String {
        try connection.execute("SELECT current_setting('server_encoding')", deadline: .never)[0].decode(String.self)
    }

    /// Applies revisions up to `target`; none when the database is there or past it.
    /// - Parameter target: `head`, a revision or its unique prefix, `+n`, and so on.
    /// - Throws: `MigrationError`, `PostgresError`; revisions applied before the failing one stay.
    public func upgrade(to target: String = "head") throws {
        let encoding = try encoding()
        guard encoding == "UTF8" else { throw MigrationError.encoding(encoding) }
        try run { start in try folder.upgradeEnd(target, from: start) }
    }

    /// Takes revisions back down to `target`, which stays applied; `base` takes all of them back.
    public func downgrade(to target: String) throws {
        try run { start in try folder.downgradeEnd(target, from: start) }
    }

    /// Sets the version without running anything, and takes the files up to it as they are now.
    /// - Parameter purge: forget what the version table holds, even revisions that the folder does not know.
    public func stamp(_ target: String, purge: Bool = false) throws {
        try locked {
            let start = purge ? 0 : try position()
            let end = try folder.position(of: target, from: start)
            progress(.stamping(from: folder.id(at: start), to: folder.id(at: end)))
            try connection.transaction(deadline: .never) { _ in
                try createTables()
                if purge { try connection.run(script: Bookkeeping.forgetVersions, deadline: .never) }
                for statement in folder.stamp(from: folder.id(at: start), to: end) {
                    try connection.run(script: statement, deadline: .never)
                }
            }
        }
    }

    // MARK: Running

    private func locked<Result>(_ body: () throws -> Result) throws -> Result {
        // A server since 14 ends what runs here once this process was killed; an older one does not know the setting.
        _ = try? connection.execute(
            "SELECT set_config('client_connection_check_interval', '1s', false)", deadline: .never)
        return try lock.hold(waiting: { progress(.waiting($0)) }, body)
    }

    private func run(end: (_ start: Int) throws -> Int) throws {
        try locked {
            let start = try position()
            let steps = folder.steps(from: start, to: try end(start))
            try adopt(start)
            for step in steps {
                progress(.running(step))
                try run(step)
            }
        }
    }

    /// How often a step is tried that is one half of a deadlock each time: others write while migrations run.
    private static let attempts = 5

    /// How long a step waits for one lock before it gives way.
    private var lockMilliseconds: Int { min(5000, max(patienceMilliseconds, 1)) }

    private func run(_ step: Step) throws {
        let patience = Deadline.after(milliseconds: patienceMilliseconds)
        var deadlocks = 0
        var waits = 0
        while let failure = try attempt(step) {
            switch failure.error.sqlState {
            case SQLState.deadlockDetected where deadlocks + 1 < Self.attempts:
                deadlocks += 1
                progress(.repeating(step))
                usleep(UInt32(deadlocks) * 200_000)
            case SQLState.lockNotAvailable:
                let holders = try lockHolders(of: failure.statement?.text ?? step.move)
                guard !patience.hasPassed else {
                    throw MigrationError.failed(failure.problem.lacksLock(holders), remains: step.from)
                }
                waits += 1
                progress(.givingWay(step, holders: holders))
                usleep(UInt32(min(waits * lockMilliseconds, patience.remainingMilliseconds, 30_000)) * 1000)
            case SQLState.duplicateTable where try step.from == nil && exists("taproom_migration"):
                throw MigrationError.failed(failure.problem.meetsItsOwnTables, remains: nil)
            default: throw MigrationError.failed(failure.problem, remains: step.from)
            }
        }
    }

    /// What the server refused of a step, which is rolled back.
    private typealias Failure = (error: PostgresError, statement: Statement?, problem: FileProblem)

    /// Runs a step in a transaction of its own.
    /// - Returns: `nil` when it is done.
    private func attempt(_ step: Step) throws -> Failure? {
        var running: Statement?
        do {
            try connection.transaction(deadline: .never) { _ in
                try connection.run(script: "SET LOCAL lock_timeout = \(lockMilliseconds)", deadline: .never)
                try createTables()
                for statement in try locks(of: step) + step.statements {
                    running = statement
                    try connection.run(script: statement.text, deadline: .never)
                }
                // What fails from here on, such as a deferred constraint at COMMIT, is not one statement's fault.
                running = nil
                try record(step)
            }
            return nil
        } catch let error as PostgresError {
            guard let problem = FileProblem(error, of: running, path: step.revision.path) else { throw error }
            return (error, running, problem)
        }
    }

    /// Locks the tables that the step keeps writers from, when there are several, in the order of the writers.
    private func locks(of step: Step) throws -> [Statement] {
        let tables = try folder.lockedTables(step).filter(exists).map { "\"\($0)\"" }
        guard tables.count > 1 else { return [] }
        return [
            Statement(text: "LOCK TABLE \(tables.joined(separator: ", ")) IN SHARE ROW EXCLUSIVE MODE", line: 1)
        ]
    }

    /// The sessions that may have kept a statement from its lock all the time, for people; empty when none is found.
    private func lockHolders(of statement: String) throws -> String {
        let rows = try connection.execute(
            """
            SELECT DISTINCT activity.pid, activity.application_name, activity.usename::text FROM pg_locks
            JOIN pg_class ON pg_class.oid = pg_locks.relation
            JOIN pg_stat_activity activity ON activity.pid = pg_locks.pid AND activity.datname = current_database()
            WHERE granted AND activity.pid <> pg_backend_pid()
            AND coalesce(xact_start < clock_timestamp() - \(lockMilliseconds) * interval '1 millisecond', true)
            AND relname = ANY (regexp_split_to_array(lower(\(statement)), '[^a-z0-9_]+')) ORDER BY 1 LIMIT 5
            """, deadline: .never)
        let sessions = try rows.map { row in
            let (pid, application, user) = try row.decode(Int.self, String?.self, String?.self)
            return "\(pid) (\(application.flatMap { $0.isEmpty ? nil : $0 } ?? "unnamed"), user \(user ?? "unknown"))"
        }
        return sessions.isEmpty ? "" : ", held by PostgreSQL session \(sessions.joined(separator: ", "))"
    }

    private func record(_ step: Step) throws {
        let moved = try connection.run(script: step.move, deadline: .never).affected
        guard moved == 1 else {
            throw MigrationError.inconsistent(
                "alembic_version no longer holds \(step.from ?? "nothing"): somebody else migrates this database "
                    + "without our lock; the revision was rolled back")
        }
        try connection.run(script: step.mark, deadline: .never)
    }

    private func createTables() throws {
        // The right to create is needed only where there is something to create.
        if try !exists("alembic_version") {
            try connection.run(script: Bookkeeping.createVersionTable, deadline: .never)
        }
        if try !exists("taproom_migration") {
            try connection.run(script: Bookkeeping.createChecksumTable, deadline: .never)
        }
    }

    /// Records the files of revisions that Alembic applied, from when on `check` watches them too; forgets those that
    /// it took back.
    private func adopt(_ position: Int) throws {
        let applied = folder.revisions[..<position]
        let known = try checksums()
        let missing = applied.filter { known[$0.id] == nil }
        let gone = folder.revisions[position...].filter { known[$0.id] != nil }
        guard !missing.isEmpty || !gone.isEmpty else { return }
        try connection.transaction(deadline: .never) { _ in
            try createTables()
            for statement in missing.map(Bookkeeping.record) + gone.map(Bookkeeping.forget) {
                try connection.run(script: statement, deadline: .never)
            }
        }
    }

    // MARK: What the database says

    func exists(_ table: String) throws -> Bool {
        try connection.execute("SELECT to_regclass(\(table)) IS NOT NULL", deadline: .never)[0].decode(Bool.self)
    }

    private func versions() throws -> [String] {
        guard try exists("alembic_version") else { return [] }
        return try connection.execute("SELECT version_num FROM alembic_version ORDER BY 1", deadline: .never)
            .map { try $0.decode(String.self) }
    }

    private func position() throws -> Int {
        guard let current = try current() else { return 0 }
        guard let index = folder.revisions.firstIndex(where: { $0.id == current }) else {
            let isNewer = try folder.head.map { head in try checksums()[head] != nil } ?? false
            throw MigrationError.inconsistent(
                "Can't locate revision identified by '\(current)': the database is at it, no file in "
                    + "\(folder.path) is; "
                    + (isNewer
                        ? "a newer release took it there: use that one, or downgrade with it first"
                        : "restore the file, or stamp --purge what the database really is at"))
        }
        return index + 1
    }

    /// The recorded file and checksum of each revision.
    func checksums() throws -> [String: (file: String, checksum: String)] {
        guard try exists("taproom_migration") else { return [:] }
        let rows = try connection.execute("SELECT revision, file, checksum FROM taproom_migration", deadline: .never)
        return Dictionary(
            uniqueKeysWithValues: try rows.map { row in
                let (revision, file, checksum) = try row.decode(String.self, String.self, String.self)
                return (revision, (file, checksum))
            })
    }
}
