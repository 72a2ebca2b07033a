import Glibc
package import Runtime

/// Runs `body` again, until the deadline, while somebody holds a lock that it needs (SQLSTATE 55P03). Each refusal is an
/// error in the server's log, so the longer it takes, the longer it is left alone in between.
/// - Parameter hasBegun: whether what was refused cannot be run again.
package func runWhileHeldUp<Result>(
    until deadline: Deadline, unless hasBegun: @autoclosure () -> Bool = false, _ body: () throws -> Result
) throws -> Result {
    var pause: UInt32 = 10_000
    while true {
        do {
            return try body()
        } catch let error as PostgresError
            where error.sqlState == SQLState.lockNotAvailable && !hasBegun() && !deadline.hasPassed
        {
            usleep(pause)
            pause = min(2 * pause, 1_000_000)
        }
    }
}
