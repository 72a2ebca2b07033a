public import Postgres
import Runtime

extension Database {
    /// How many rows of a table are read while `body` asks this database, which nobody else may do meanwhile: by looks
    /// through the whole of it and by its indexes.
    public func rowsRead(of table: String, _ body: () throws -> Void) throws -> Int {
        let before = try rowsReadSoFar(of: table)
        try body()
        return try rowsReadSoFar(of: table) - before
    }

    private func rowsReadSoFar(of table: String) throws -> Int {
        // What the session counts is seen once it has handed it in; this is the session that `body` used last.
        try execute("SELECT pg_stat_force_next_flush()", deadline: .soon)
        return try execute(
            "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = \(table)",
            deadline: .soon)[0].decode(Int.self)
    }
}
