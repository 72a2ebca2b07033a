public import Postgres
import Runtime

extension Connection {
    /// Opens a session for a command of an operator's, who waits: within 5 s, and its statements have no limit but
    /// their deadlines.
    /// - Parameters:
    ///   - command: what `application_name` says after `taproom`.
    ///   - options: see `init(url:application:options:deadline:)`.
    /// - Throws: `PostgresError.unavailable` when there is no session after 5 s.
    public convenience init(
        url: String, command: String, options: [String: String] = [:]
    ) throws(PostgresError) {
        try self.init(
            url: url, application: "taproom \(command)",
            options: ["statement_timeout": "0"].merging(options) { _, asked in asked },
            deadline: .after(milliseconds: 5000))
    }
}
