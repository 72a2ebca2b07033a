import Migrations
import Postgres
import Runtime
import TestSupport
import Testing

@testable import struct Migrations.MigrationLock

/// Two runs on one database.
@Suite struct LockTests {
    @Test func racingProcessesApplyEachRevisionOnce() throws {
        let fixture = try Fixture()
        let holder = try PostgresServer.shared.connect(to: fixture.url)
        try holder.execute("SELECT pg_advisory_lock(\(MigrationLock.key))", deadline: .never)
        let runs = (1...3).map { _ in
            Background { [path = fixture.project.path, url = fixture.url] in
                try TestProcess.run(
                    TestProcess.product("taproom"), ["migrate", "upgrade", "head"],
                    environment: ["TAPROOM_DATABASES_SUBSCRIPTIONS": url], folder: path)
            }
        }
        try Eventually.happens("all three are at the lock") {
            try fixture.column(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'taproom migrate' "
                    + "AND datname = current_database() AND query LIKE 'SELECT pg_try_advisory_lock%'") == ["3"]
        }
        #expect(try fixture.schema() == [])
        try holder.execute("SELECT pg_advisory_unlock(\(MigrationLock.key))", deadline: .never)
        let results = try runs.map { try $0.value() }
        #expect(results.map(\.status) == [0, 0, 0], "\(results.map(\.errors))")
        #expect(results.allSatisfy { $0.errors.contains("another migration run holds the lock") })
        let lines = results.map(\.errors).joined().split(separator: "\n")
        let steps = lines.filter { $0.contains("Running upgrade") }
        #expect(steps.count == 3)
        #expect(try fixture.migrator().isAtHead())
    }

    @Test func theWaitIsBoundedAndNamesTheHolder() throws {
        let fixture = try Fixture()
        let holder = try PostgresServer.shared.connect(to: fixture.url)
        let pid = try holder.execute("SELECT pg_backend_pid()", deadline: .never)[0].decode(Int.self)
        try holder.execute("SELECT pg_advisory_lock(\(MigrationLock.key))", deadline: .never)
        var reports: [String] = []
        let error = #expect(throws: MigrationError.self) {
            try fixture.migrator { reports.append($0.description) }.upgrade()
        }
        #expect(error?.description.contains("(PostgreSQL session \(pid), test)") == true)
        #expect(reports.count == 1)
        #expect(try fixture.schema() == [])
    }

    @Test func theLockIsGivenBackAlsoAfterAFailure() throws {
        let fixture = try Fixture()
        try fixture.write(Fixture.second, after: Fixture.first, up: "SELECT 1/0;", down: "")
        #expect(throws: MigrationError.self) { try fixture.migrator().upgrade() }
        #expect(
            try fixture.column(
                "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
                    + "WHERE locktype = 'advisory' AND datname = current_database()") == ["0"])
    }

    /// Begins a run while an outsider has written `subscription`, and lets that one write the history meanwhile.
    /// - Returns: what the run reported.
    private func run(_ statements: String) throws -> (reports: [String], fixture: Fixture) {
        let fixture = try Fixture()
        try fixture.write(Fixture.third, after: Fixture.second, up: statements, down: "")
        try fixture.migrator().upgrade(to: Fixture.second)
        let outsider = try PostgresServer.shared.connect(to: fixture.url)
        try outsider.run(
            script: "SET deadlock_timeout = '1min'; BEGIN; INSERT INTO subscription VALUES ('s')", deadline: .never)
        let migration = Background { [url = fixture.url, folder = try fixture.folder()] in
            var reports: [String] = []
            let connection = try PostgresServer.shared.connect(to: url)
            try connection.run(script: "SET deadlock_timeout = '4s'", deadline: .never)
            try Migrator(connection: connection, folder: folder) { reports.append($0.description) }.upgrade()
            return reports
        }
        try Eventually.happens("the run to wait for the writer") {
            try fixture.column(
                """
                SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
                WHERE d.datname = current_database() AND NOT granted AND relation = 'subscription'::regclass
                """) == ["1"]
        }
        try outsider.run(script: "INSERT INTO subscription_status_history VALUES ('h', 's'); COMMIT", deadline: .soon)
        return (try migration.value(), fixture)
    }

    @Test func aRunThatIsOneHalfOfADeadlockBeginsAgain() throws {
        let (reports, fixture) = try run(
            "LOCK TABLE subscription_status_history; LOCK TABLE subscription")
        #expect(reports.count == 2 && reports.last?.contains("again after a deadlock") == true, "\(reports)")
        #expect(try fixture.migrator().isAtHead())
    }

    @Test func tablesAreLockedInTheOrderOfTheirWriters() throws {
        let trigger = "FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
        let (reports, fixture) = try run(
            """
            CREATE TRIGGER a BEFORE UPDATE ON subscription_status_history \(trigger);
            CREATE TRIGGER a BEFORE UPDATE OF id ON subscription \(trigger)
            """)
        #expect(reports.count == 1, "\(reports)")
        #expect(try fixture.column("SELECT count(*) FROM subscription_status_history") == ["1"])
    }
}
