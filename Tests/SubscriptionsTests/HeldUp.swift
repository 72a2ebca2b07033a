import Postgres
import TestSupport

extension Shop {
    /// Whether such a statement waits for a lock longer than one may for whose end others wait.
    func isHeldUp(_ statement: String) throws -> Bool {
        try count(
            """
            SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE a.datname = current_database() AND position(\(statement) IN a.query) > 0
                AND clock_timestamp() - l.waitstart > interval '60 milliseconds'
            """) > 0
    }

    /// What `body` returns that runs beside the outsider's transaction: its script is done when `body` begins, and is
    /// committed when `body` waits for it.
    func beside<Value: Sendable>(
        _ script: String, waiting statement: String = "", _ body: @escaping @Sendable () throws -> Value
    ) throws -> Value {
        let outsider = try session()
        try outsider.run(script: "BEGIN; \(script)", deadline: .soon)
        let work = Background(body)
        try Eventually.happens("the statement to wait") { try isHeldUp(statement) }
        try outsider.run(script: "COMMIT", deadline: .soon)
        return try work.value()
    }
}
