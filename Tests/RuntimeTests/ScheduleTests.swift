import Glibc
import Postgres
import TestSupport
import Testing

@testable import Runtime

/// The process of a scheduled function, with the real SettleCharges as the function.
@Suite struct ScheduleTests {
    private func environment(database: String, platform: String = "http://127.0.0.1:1") -> [String: String] {
        [
            "DATABASE_URL": database, "ECOMMERCE_URL": platform, "ECOMMERCE_API_KEY": "k", "ECOMMERCE_API_SECRET": "s",
            "ECOMMERCE_RESEND": "idempotent",
        ]
    }

    /// A database with so much of the schema as a run without doubts asks for.
    private func schema(in url: String) throws {
        let session = try Connection(url: url, application: "test", deadline: .soon)
        try session.run(
            script: """
                CREATE TABLE schedule_run (function varchar(64) PRIMARY KEY, tick timestamptz NOT NULL);
                CREATE TABLE won (tick timestamptz PRIMARY KEY);
                CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
                    'BEGIN INSERT INTO won VALUES (NEW.tick); RETURN NULL; END';
                CREATE TRIGGER note AFTER INSERT OR UPDATE ON schedule_run FOR EACH ROW EXECUTE FUNCTION note();
                CREATE TABLE charge_request (request_id text, charge_id bigint);
                CREATE TABLE charge_doubt (request_id text, charge_id bigint);
                CREATE FUNCTION claim_unsettled(integer, integer) RETURNS TABLE (
                    charge_id bigint, charge_attempt integer, subscription text, charge_period text,
                    sent_request text, customer text, sku integer)
                LANGUAGE sql AS 'SELECT 1, 1, '''', '''', '''', '''', 1 WHERE false';
                """, deadline: .soon)
    }

    @Test("ticks are whole multiples of the interval, and missed ones are skipped")
    func ticks() {
        func tick(_ instant: Int) -> Int { ScheduleRunner<Nothing>.tick(after: instant, interval: 60_000) }
        #expect(tick(0) == 60_000)
        #expect(tick(59_999) == 60_000)
        #expect(tick(60_000) == 120_000)
        #expect(tick(60_001 + 5 * 60_000) == 7 * 60_000)
    }

    struct Nothing: ScheduledFunction {
        init(_ settings: Settings) {}
        func handle(_ event: ScheduledEvent, _ context: Context) throws -> Int { 0 }
    }

    @Test func runsAtEveryTickWithOneWinnerAmongReplicasAndEndsAtSIGTERM() throws {
        let url = try PostgresServer.shared.freshDatabase()
        try schema(in: url)
        let replicas = try (0..<3).map { _ in
            try ScheduledProcess(
                "SettleChargesFunction", name: "s", everySeconds: 1, environment: environment(database: url))
        }
        func wins() throws -> [TestJSON] {
            try replicas.flatMap { try $0.log() }.filter { $0["result"]?["settled"] != nil }
        }
        try Eventually.happens("five runs") { try wins().count >= 5 }
        for replica in replicas { replica.process.terminate() }
        for replica in replicas { #expect(try replica.process.waitForEnd() == .exited(0)) }
        let lines = try replicas.flatMap { try $0.log() }
        #expect(lines.allSatisfy { ($0["tick"]?.integer ?? 1) % 1000 == 0 })
        // A tick that is won twice breaks the primary key of the table of those won, and its run fails.
        #expect(lines.allSatisfy { $0["function"]?.string == "s" && $0["level"]?.string == "info" }, "\(lines)")
        let losers = lines.filter { $0["result"]?["settled"] == nil }
        #expect(!losers.isEmpty, "three replicas, one winner a tick")
        #expect(
            losers.allSatisfy { $0["result"]?["skipped"]?.string?.hasPrefix("another process has this tick") == true })
        #expect(try wins().first?["result"]?["settled"]?["charged"]?.integer == 0)
        let session = try Connection(url: url, application: "test", deadline: .soon)
        let won = try session.execute("SELECT count(*) FROM won", deadline: .soon)[0]
        #expect(try won.decode(Int.self) == wins().count)
    }

    @Test func aDatabaseThatIsDownEndsNothing() throws {
        let server = PostgresServer.shared
        let name = "later_\(getpid())"
        let process = try ScheduledProcess(
            "SettleChargesFunction", name: "s", everySeconds: 1,
            environment: environment(database: "postgresql://postgres@127.0.0.1:\(server.port)/\(name)"))
        try Eventually.happens("two failed runs") {
            try process.log().filter { $0["level"]?.string == "warning" }.count >= 2
        }
        let session = try Connection(url: server.url("postgres"), application: "test", deadline: .soon)
        try session.run(script: "CREATE DATABASE \(name)", deadline: .soon)
        try schema(in: server.url(name))
        try Eventually.happens("a run that succeeds") { try process.log().contains { $0["level"]?.string == "info" } }
        process.process.terminate()
        #expect(try process.process.waitForEnd() == .exited(0))
    }

    private func run(_ text: String, database: String) throws -> FunctionRun {
        try FunctionRun(
            "SettleChargesFunction", arguments: ["--event"],
            environment: environment(database: database).merging(["TAPROOM_FUNCTION": "s"]) { $1 },
            input: Array(text.utf8))
    }

    @Test func runsOnceByHandAndPrintsTheResult() throws {
        let url = try PostgresServer.shared.freshDatabase()
        try schema(in: url)
        for event in ["{}", #"{"time": 1763694000000}"#] {
            let run = try run(event, database: url)
            #expect(run.end == .exited(0))
            #expect(try TestJSON(parsing: run.output)["settled"]?["unknown"]?.integer == 0)
            #expect(run.lines.count == 1)
        }
        #expect(try TestJSON(parsing: run(#"{"time": 7}"#, database: url).lines[0])["tick"]?.integer == 7)
    }

    @Test func saysByItsExitStatusThatItFailed() throws {
        let nowhere = "postgresql://nobody@127.0.0.1:1/none"
        let failed = try run("{}", database: nowhere)
        #expect(failed.end == .exited(1) && failed.output.isEmpty)
        #expect(try TestJSON(parsing: failed.lines[0])["error"]?.string?.contains("database unavailable") == true)
        let bad = try run("[]", database: nowhere)
        #expect(bad.end == .exited(64) && bad.output.isEmpty)
        #expect(bad.lines.joined().contains("{}"))
        let tooLong = try run(String(repeating: " ", count: 1 << 20) + "{}", database: nowhere)
        #expect(tooLong.end == .exited(64) && tooLong.output.isEmpty)
        #expect(tooLong.lines.joined().contains("The event is longer than 1048576 bytes."))
    }

    @Test func refusesToStartWithoutAnIntervalOrWithAWrongSetting() throws {
        let settings = environment(database: "postgresql://nobody@127.0.0.1:1/none")
        let bare = try FunctionRun("SettleChargesFunction", environment: settings)
        #expect(bare.end == .exited(64))
        #expect(bare.lines.joined().contains("TAPROOM_SCHEDULE"))
        let wrong = try FunctionRun(
            "SettleChargesFunction",
            environment: settings.merging(["TAPROOM_SCHEDULE": "soon", "ECOMMERCE_RESEND": "never"]) { $1 })
        #expect(wrong.end == .exited(78))
        for name in ["TAPROOM_SCHEDULE", "ECOMMERCE_RESEND"] { #expect(wrong.lines.joined().contains(name)) }
    }
}
