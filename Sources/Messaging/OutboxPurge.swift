import Postgres
import Runtime

/// Removes what has been published, or found that nobody wants, a little at a time.
struct OutboxPurge {
    static let settledDays = 7
    static let intervalMilliseconds = 600_000
    private static let batchSize = 1000

    /// How far the present walk through the outbox has come.
    private var position = 0
    private var due = Deadline.after(milliseconds: 0)

    /// One small piece of work, when it is time for one.
    mutating func step(in session: Connection, deadline: Deadline) throws {
        guard due.hasPassed else { return }
        // Until it is known that there is more, the next piece is not due; a failure does not bring it back at once.
        due = .after(milliseconds: Self.intervalMilliseconds)
        if try purge(in: session, deadline: deadline) {
            due = .after(milliseconds: 1000)
        } else {
            position = 0
        }
    }

    /// Looks at the next rows from the oldest on, by the primary key: there is no index of what is settled, since
    /// nobody else asks for it.
    /// - Returns: whether there may be more.
    private mutating func purge(in session: Connection, deadline: Deadline) throws -> Bool {
        let (seen, last, isYoung) = try session.execute(
            """
            WITH old AS (SELECT position, state,
                                settled_at < clock_timestamp() - \(Self.settledDays) * interval '1 day' AS due
                         FROM outbox WHERE position > \(position) ORDER BY position LIMIT \(Self.batchSize)),
                 gone AS (DELETE FROM outbox USING old WHERE outbox.position = old.position
                          AND old.state <> 'waiting' AND old.due)
            SELECT count(*), coalesce(max(position), 0), coalesce(bool_or(state <> 'waiting' AND NOT due), false)
            FROM old
            """, deadline: deadline)[0].decode(Int.self, Int.self, Bool.self)
        position = last
        return seen == Self.batchSize && !isYoung
    }
}
