internal import Glibc
package import Postgres
internal import Runtime

extension StatementBatcher.Batch {
    /// Runs the batch's statement. A request that goes alone is asked again until its deadline while somebody holds a
    /// lock that it needs. The database refuses it each time well before anybody looks for a deadlock (`lock_together`),
    /// so that no outsider is ended for waiting for what this statement has locked meanwhile. Each refusal is an error in
    /// its log, so the longer it takes, the longer it is left alone in between.
    package func execute(_ sql: SQL, in database: Database) throws -> Rows {
        var pause: UInt32 = 10_000
        while true {
            do {
                return try database.execute(sql, deadline: deadline)
            } catch let error as PostgresError where error.sqlState == "55P03" && !othersWait && !deadline.hasPassed {
                usleep(pause)
                pause = min(2 * pause, 1_000_000)
            }
        }
    }
}
