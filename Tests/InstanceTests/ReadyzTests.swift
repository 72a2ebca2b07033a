import Postgres
import Runtime
import Testing

import class TestSupport.FunctionProcess
import struct TestSupport.FunctionRun
import class TestSupport.PostgresServer

/// What `GET /readyz` says of a database that is at another migration than this version of the functions needs: `b`.
struct ReadyzTests {
    private let url: String

    init() throws { url = try PostgresServer.shared.freshDatabase() }

    /// - Parameter recorded: what our own migrations left, in the order of their running; `nil` where only Alembic ran.
    private func answer(at current: String, recorded: String?) throws -> String {
        var script = """
            CREATE TABLE charge_doubt (since timestamptz);
            CREATE TABLE alembic_version (version_num varchar(32));
            INSERT INTO alembic_version VALUES ('\(current)');
            """
        if let recorded {
            script += "CREATE TABLE taproom_migration (revision varchar(32), applied_at timestamptz);"
            for (minute, revision) in recorded.enumerated() {
                script += "INSERT INTO taproom_migration VALUES ('\(revision)', '2026-05-01T00:0\(minute):00Z');"
            }
        }
        try PostgresServer.shared.connect(to: url).run(script: script, deadline: .after(milliseconds: 60_000))
        let run = try FunctionRun(
            "ReadyzFunction", arguments: ["--event"],
            environment: FunctionProcess.environment("ReadyzFunction", routes: ["GET /readyz"])
                .merging(["DATABASE_URL": url, "MIGRATION_HEAD": "b"]) { $1 },
            input: Array(#"{"rawPath": "/readyz", "requestContext": {"http": {"method": "GET"}}}"#.utf8))
        return String(decoding: run.output, as: UTF8.self)
    }

    @Test(arguments: [("b", "ab"), ("c", "abc"), ("c", "ab"), ("b", nil)])
    func `past the one it needs it is ready`(current: String, recorded: String?) throws {
        let answer = try answer(at: current, recorded: recorded)
        #expect(answer.contains(#""statusCode":200"#) && answer.contains(#"migration\":\"\#(current)"#), "\(answer)")
    }

    @Test(arguments: [("a", "a"), ("a", "abc"), ("c", nil)])
    func `short of it, or nobody knows where, it is not`(current: String, recorded: String?) throws {
        let answer = try answer(at: current, recorded: recorded)
        #expect(answer.contains(#""statusCode":503"#) && answer.contains("it is at \(current), and"), "\(answer)")
    }
}
