import Postgres
import Runtime
import TestSupport
import Testing

/// What `GET /readyz` says of a database that is at another migration than this version of the functions needs: `b`.
@Suite struct ReadyzTests {
    private let url: String

    init() throws { url = try PostgresServer.shared.freshDatabase() }

    /// - Parameters:
    ///   - recorded: what our own migrations left, in the order of their running; `nil` where only Alembic ran.
    ///   - minutes: how long a charge has been in doubt.
    private func answer(at current: String, recorded: String?, doubt minutes: Int = 0) throws -> String {
        var script = """
            CREATE TABLE charge_doubt (since timestamptz);
            INSERT INTO charge_doubt VALUES (clock_timestamp() - interval '\(minutes) minutes');
            CREATE TABLE alembic_version (version_num varchar(32));
            INSERT INTO alembic_version VALUES ('\(current)');
            """
        if let recorded {
            script += "CREATE TABLE taproom_migration (revision varchar(32), applied_at timestamptz);"
            for (minute, revision) in recorded.enumerated() {
                script += "INSERT INTO taproom_migration VALUES ('\(revision)', '2026-05-01T00:0\(minute):00Z');"
            }
        }
        try PostgresServer.shared.connect(to: url).run(script: script, deadline: .soon)
        let run = try FunctionRun(
            "ReadyzFunction", arguments: ["--event"],
            environment: FunctionProcess.environment("ReadyzFunction", routes: ["GET /readyz"])
                .merging(["DATABASE_URL": url, "MIGRATION_HEAD": "b"]) { $1 },
            input: Array(#"{"rawPath": "/readyz", "requestContext": {"http": {"method": "GET"}}}"#.utf8))
        return String(decoding: run.output, as: UTF8.self)
    }

    @Test("past the one it needs it is ready", arguments: [("b", "ab"), ("c", "abc"), ("c", "ab"), ("b", nil)])
    func revisionReached(current: String, recorded: String?) throws {
        let answer = try answer(at: current, recorded: recorded)
        #expect(answer.contains(#""statusCode":200"#) && answer.contains(#"migration\":\"\#(current)"#), "\(answer)")
    }

    @Test("short of it, or nobody knows where, it is not", arguments: [("a", "a"), ("a", "abc"), ("c", nil)])
    func revisionNotReached(current: String, recorded: String?) throws {
        let answer = try answer(at: current, recorded: recorded)
        #expect(answer.contains(#""statusCode":503"#) && answer.contains("it is at \(current), and"), "\(answer)")
    }

    @Test("doubts of over an hour are counted", arguments: [(30, 0), (59, 0), (61, 1)])
    func oldDoubts(minutes: Int, count: Int) throws {
        let answer = try answer(at: "b", recorded: nil, doubt: minutes)
        #expect(answer.contains(#"doubts_older_than_an_hour\":\#(count)"#), "\(answer)")
    }
}
