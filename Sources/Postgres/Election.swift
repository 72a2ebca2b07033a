public import Runtime

extension Database {
    /// Runs `body` in one of all the processes that ask under the same name for the same tick.
    ///
    /// Two things decide: an advisory lock, held by a session of its own for as long as `body` runs, so that a run that
    /// takes longer than its interval is not joined by the next; and the table `schedule_run` with the last tick that
    /// was run, so that a process that comes late to a tick does not run it again. A tick counts as run when `body`
    /// begins, whatever comes of it. Ticks are whole multiples of the interval since 1970 on PostgreSQL's clock, the
    /// nearest to now: those who ask may have clocks that differ.
    ///
    /// The table is the service's own, made by a migration of it:
    /// `CREATE TABLE schedule_run (function varchar(64) PRIMARY KEY, tick timestamptz NOT NULL)`.
    ///
    /// - Parameters:
    ///   - name: at most 64 characters.
    ///   - seconds: the interval between two ticks.
    ///   - body: must bear a second run beside it: a session that breaks gives the lock back before `body` has ended.
    /// - Returns: what `body` returned; `nil` when another process has this tick, or still runs an earlier one.
    /// - Throws: what `body` throws; `PostgresError`.
    public func electing<Result>(
        name: String, everySeconds seconds: Int, deadline: Deadline, _ body: () throws -> Result
    ) throws -> Result? {
        try withConnection(deadline: deadline) { session in
            let key = "schedule " + name
            let isLocked = try session.execute(
                "SELECT pg_try_advisory_lock(hashtextextended(\(key), 0))", deadline: deadline)[0].decode(Bool.self)
            guard isLocked else { return nil }
            defer {
                // A session that cannot give the lock back is closed by the failure, which gives it back too.
                _ = try? session.execute(
                    "SELECT pg_advisory_unlock(hashtextextended(\(key), 0))", deadline: .after(milliseconds: 1000))
            }
            let won = try session.execute(
                """
                INSERT INTO schedule_run (function, tick)
                VALUES (\(name), to_timestamp(round(extract(epoch FROM clock_timestamp()) / \(seconds)::int)
                                              * \(seconds)::int))
                ON CONFLICT (function) DO UPDATE SET tick = excluded.tick WHERE schedule_run.tick <> excluded.tick
                """, deadline: deadline)
            return won.affected == 1 ? try body() : nil
        }
    }
}
