import Glibc
package import Runtime

/// Runs `body` again, until the deadline, while somebody holds a lock that it needs (SQLSTATE 55P03). Each refusal is an
/// error in the server's log, so the longer it takes, the longer it is left alone in between.
/// - Parameter hasBegun: whether what was refused cannot be run again.
/// - Throws: what `body` throws; the refusal when no time is left for another try.
package func retryingOnLockTimeout<Result>(
    until deadline: Deadline, unless hasBegun: @autoclosure () -> Bool = false, _ body: () throws -> Result
) throws -> Result {
    var pause = 10
    while true {
        do {
            return try body()
        } catch let error as PostgresError where error.sqlState == SQLState.lockNotAvailable && !hasBegun() {
            // What was refused says more than that there was no time for another try.
            let spare = deadline.remainingMilliseconds - lockMilliseconds
            guard spare > 0 else { throw error }
            usleep(UInt32(min(pause, spare)) * 1000)
            pause = min(2 * pause, 1000)
        }
    }
}

extension StatementBatcher.Batch {
    /// Runs the batch's statement. A request that goes alone is asked again until its deadline while somebody holds a
    /// lock that it needs. The database refuses it each time well before anybody looks for a deadlock (`lock_together`),
    /// so that no outsider is ended for waiting for what this statement has locked meanwhile.
    package func execute(_ sql: SQL, in database: Database) throws -> Rows {
        try retryingOnLockTimeout(until: deadline, unless: holdsLane) { try database.execute(sql, deadline: deadline) }
    }
}

/// How long the database lets a statement wait for a lock: far less than it waits before it looks for a deadlock
/// (`deadlock_timeout`, 1 s), which an outsider who came later would be ended for.
let lockMilliseconds = 200
