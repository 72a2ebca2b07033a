import Glibc
import Postgres
import Runtime

/// The session-level advisory lock that lets one run at a time change a database; PostgreSQL releases it when the
/// session ends, however it ends.
struct MigrationLock {
    /// The ASCII codes of “taproom”.
    static let key = 0x74_6170_726F_6F6D

    let connection: Connection
    /// Longest wait for another run.
    let patienceMilliseconds: Int

    /// Runs `body` while holding the lock.
    /// - Throws: `MigrationError.locked` when the other run outlasts the patience.
    func hold<Result>(waiting: (String) -> Void, _ body: () throws -> Result) throws -> Result {
        if try !acquire() {
            waiting("another migration run holds the lock of this database\(try holder()): waiting for it")
            let patience = Deadline.after(milliseconds: patienceMilliseconds)
            while try !acquire() {
                guard !patience.hasPassed else {
                    throw MigrationError.locked(
                        "another migration run has held the lock of this database for "
                            + "\(patienceMilliseconds / 1000) s\(try holder()): let it finish, or end it")
                }
                usleep(100_000)
            }
        }
        defer {
            // A session that broke has lost the lock already.
            _ = try? connection.execute("SELECT pg_advisory_unlock(\(Self.key))", deadline: .never)
        }
        return try body()
    }

    private func acquire() throws -> Bool {
        let rows = try connection.execute("SELECT pg_try_advisory_lock(\(Self.key))", deadline: .never)
        return try rows[0].decode(Bool.self)
    }

    /// Which session it is, for people; empty when it has just gone.
    private func holder() throws -> String {
        let rows = try connection.execute(
            """
            SELECT activity.pid, activity.application_name FROM pg_locks
            JOIN pg_database ON pg_database.oid = pg_locks.database
            JOIN pg_stat_activity activity ON activity.pid = pg_locks.pid
            WHERE locktype = 'advisory' AND granted AND pg_database.datname = current_database()
            AND classid::bigint = \(Self.key >> 32) AND objid::bigint = \(Self.key & 0xFFFF_FFFF) AND objsubid = 1
            """, deadline: .never)
        guard let row = rows.first else { return "" }
        let (pid, application) = try row.decode(Int.self, String?.self)
        return " (PostgreSQL session \(pid), \(application ?? "unnamed"))"
    }
}
