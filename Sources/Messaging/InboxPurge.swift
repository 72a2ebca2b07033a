import Postgres
import Runtime

/// Removes what has been consumed long ago, by whichever consumer of the database, a little at a time.
struct InboxPurge {
    /// Longer than an event lies in a queue or as a dead letter before somebody looks: one that is delivered later than
    /// this after it took effect takes effect again.
    private static let days = 30
    private static let batchSize = 1000

    private var due = Deadline.after(milliseconds: 0)

    /// One small piece of work, when it is time for one.
    mutating func step(in database: Database, deadline: Deadline) throws {
        guard due.hasPassed else { return }
        // A failure does not bring it back at once.
        due = .after(milliseconds: OutboxPurge.intervalMilliseconds)
        // clock_timestamp() would keep it from the index.
        let removed = try database.execute(
            """
            DELETE FROM inbox WHERE ctid = ANY(ARRAY(
                SELECT ctid FROM inbox WHERE received_at < now() - \(Self.days) * interval '1 day'
                LIMIT \(Self.batchSize)))
            """, deadline: deadline
        ).affected
        if removed == Self.batchSize { due = .after(milliseconds: 1000) }
    }
}
