import Postgres
import Runtime

/// The record of what a consumer has done, in the database that its effects are in.
enum Inbox {
    /// The database has no inbox that can be used: no table, one with other columns, or no right to it. Every event
    /// would fare the same.
    struct Unusable: Error {
        let refusal: PostgresError
    }

    /// Marks events as done in the transaction that `session` has open, and waits for others that are at the same ones.
    /// - Returns: those that were not done before, in UTF-8: a set of `String` takes canonically equivalent texts for one,
    ///   the database does not.
    /// - Throws: `Unusable`, `PostgresError`.
    static func claim(
        _ ids: [String], consumer: String, in session: Connection, deadline: Deadline
    ) throws -> Set<[UInt8]> {
        // In one order for all, so that two who bring the same events do not wait for each other.
        do {
            let rows = try session.execute(
                """
                INSERT INTO inbox (consumer, event_id)
                SELECT \(consumer), id FROM unnest(\(ids)::text[]) AS came (id) ORDER BY id
                ON CONFLICT DO NOTHING RETURNING event_id
                """, deadline: deadline)
            return Set(try rows.map { Array(try $0.decode(String.self).utf8) })
        } catch let error as PostgresError
            where error.sqlState?.hasPrefix(SQLState.Class.syntaxErrorOrAccessRuleViolation) == true
        {
            // The statement is the same for every event, so it is the table that does not fit.
            throw Unusable(refusal: error)
        }
    }
}
