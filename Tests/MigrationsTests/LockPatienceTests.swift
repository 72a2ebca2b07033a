import Glibc
import Migrations
import Postgres
import Runtime
import TestSupport
import Testing

/// A run that others keep from a table's lock.
@Suite struct LockPatienceTests {
    private let fixture: Fixture
    /// Reads `club` in a transaction that stays open.
    private let reader: Connection
    private let pid: Int

    init() throws {
        fixture = try Fixture()
        try fixture.write(
            Fixture.third, after: Fixture.second, up: "ALTER TABLE club ADD COLUMN note text;", down: "")
        try fixture.migrator().upgrade(to: Fixture.second)
        reader = try PostgresServer.shared.connect(to: fixture.url)
        pid = try reader.execute("SELECT pg_backend_pid()", deadline: .never)[0].decode(Int.self)
        try reader.run(script: "BEGIN; SELECT FROM club", deadline: .never)
    }

    private func start(patienceMilliseconds: Int) throws -> (run: Background<Void>, reports: Lock<[String]>) {
        let reports = Lock<[String]>([])
        let run = Background { [url = fixture.url, folder = try fixture.folder()] in
            let connection = try PostgresServer.shared.connect(to: url)
            try Migrator(
                connection: connection, folder: folder, patienceMilliseconds: patienceMilliseconds
            ) { report in reports.withLock { $0.append(report.description) } }.upgrade()
        }
        return (run, reports)
    }

    @Test func itGivesWayToOthersAndNamesWhoHoldsTheLock() throws {
        let (run, reports) = try start(patienceMilliseconds: 120_000)
        try Eventually.happens("a report of who holds the lock", within: 40) {
            reports.withLock { $0.contains { $0.contains("PostgreSQL session \(pid) (test, user postgres)") } }
        }
        // Nobody queues behind it now.
        let writer = try PostgresServer.shared.connect(to: fixture.url)
        try writer.execute("INSERT INTO club (name) VALUES ('x')", deadline: .after(milliseconds: 10_000))
        try reader.run(script: "COMMIT", deadline: .never)
        try run.value()
        #expect(try fixture.migrator().isAtHead())
    }

    @Test func itsPatienceEndsWithAnErrorThatNamesWhoHoldsTheLock() throws {
        let (run, _) = try start(patienceMilliseconds: 300)
        let failure = Lock<String?>(nil)
        _ = Background {
            do { try run.value() } catch { failure.withLock { $0 = "\(error)" } }
        }
        defer { _ = try? reader.run(script: "COMMIT", deadline: .never) }
        let text = try Eventually.gives("the run's end", within: 30) { failure.withLock { $0 } }
        #expect(text.contains("PostgreSQL session \(pid) (test, user postgres)"), "\(text)")
        #expect(text.contains("the database is at \(Fixture.second)"), "\(text)")
    }

    @Test func aRunThatIsKilledLeavesNothingAtTheServer() throws {
        try reader.run(script: "COMMIT", deadline: .never)
        try fixture.write(Fixture.third, after: Fixture.second, up: "SELECT pg_sleep(600);", down: "")
        let run = try ChildProcess(
            "/usr/bin/env",
            arguments: ["--chdir", fixture.project.path, TestProcess.product("taproom")]
                + ["migrate", "upgrade", "head"],
            environment: ["TAPROOM_DATABASES_SUBSCRIPTIONS": fixture.url])
        let sessions = """
            SELECT pid FROM pg_stat_activity
            WHERE datname = current_database() AND query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()
            """
        try Eventually.happens("the statement runs") { try fixture.column(sessions).count == 1 }
        kill(run.pid, SIGKILL)
        try Eventually.happens("the server ends it", within: 30) { try fixture.column(sessions) == [] }
    }
}
