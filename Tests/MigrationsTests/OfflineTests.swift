import Foundation
import Migrations
import TestSupport
import Testing

/// Scripts that `--sql` prints, applied by psql.
@Suite struct OfflineTests {
    private func psql(_ fixture: Fixture, _ script: String) throws -> TestProcess {
        try TestProcess.run(
            "psql", ["--no-psqlrc", "--quiet", "--dbname=\(fixture.url)"], input: script,
            environment: ["PGOPTIONS": "-c client_min_messages=warning"])
    }

    @Test func psqlMakesTheSameSchemaAsAnOnlineRun() throws {
        let online = try Fixture()
        try online.migrator().upgrade()
        let offline = try Fixture()
        let applied = try psql(offline, offline.folder().upgradeScript("head"))
        #expect(applied.errors == "")
        #expect(try offline.schema() == online.schema())
        #expect(try offline.migrator().check() == [])
        let checksums = "SELECT revision || file || checksum FROM taproom_migration ORDER BY 1"
        #expect(try offline.column(checksums) == online.column(checksums))

        let back = try psql(offline, offline.folder().downgradeScript("head:aa11"))
        #expect(back.errors == "")
        try online.migrator().downgrade(to: "aa11")
        #expect(try offline.schema() == online.schema())
        #expect(try offline.versions() == [Fixture.second])
        #expect(try offline.column(checksums) == online.column(checksums))

        #expect(try psql(offline, offline.folder().upgradeScript("aa11:+1")).errors == "")
        #expect(try offline.migrator().check() == [])
        #expect(try psql(offline, offline.folder().downgradeScript("head:base")).errors == "")
        #expect(try offline.migrator().current() == nil)
        #expect(try psql(offline, offline.folder().upgradeScript("base:head")).errors == "")
        #expect(try offline.migrator().check() == [])
    }

    /// What `taproom migrate` prints about this repository's own files.
    private func script(_ service: String, _ arguments: String...) throws -> String {
        let run = try TestProcess.run(
            TestProcess.product("taproom"),
            ["migrate", "--config", "model_config.json", "--service", service] + arguments + ["--sql"],
            folder: Repository.root)
        try #require(run.status == 0, "\(run.errors)")
        return run.output
    }

    @Test("the scripts of our own files make the schema of an online run, and leave nothing on the way back")
    func ownFiles() throws {
        for service in try FileManager.default.contentsOfDirectory(atPath: Repository.root + "/migrations") {
            let (online, offline) = (try Fixture(), try Fixture())
            let folder = try MigrationFolder.load("\(Repository.root)/migrations/\(service)")
            try Migrator(connection: online.connection, folder: folder).upgrade()
            let applied = try psql(offline, script(service, "upgrade", "head"))
            #expect(applied.errors == "", "\(service)")
            #expect(try offline.schema() == online.schema(), "\(service)")
            #expect(try Migrator(connection: offline.connection, folder: folder).check() == [], "\(service)")

            let back = try psql(offline, script(service, "downgrade", "head:base"))
            #expect(back.errors == "", "\(service)")
            #expect(try offline.versions() == [], "\(service)")
            // An extension stays: others may use it.
            let left = try offline.column(
                """
                SELECT o.name FROM (
                    SELECT oid, relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace
                    UNION ALL SELECT oid, proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace) o
                WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = o.oid AND d.deptype = 'e')
                    AND o.name !~ '^(alembic_version|taproom_migration)'
                """)
            #expect(left == [], "\(service)")
        }
    }

    @Test func stampIsTheSameOfflineAndOnline() throws {
        let fixture = try Fixture()
        #expect(try psql(fixture, fixture.folder().stampScript("aa11")).errors == "")
        #expect(try fixture.versions() == [Fixture.second])
        #expect(try psql(fixture, fixture.folder().stampScript("aa11:head")).errors == "")
        #expect(try fixture.migrator().check() == [])
    }

    @Test func aScriptThatFailsHalfWayLeavesNothingWherePsqlGoesOn() throws {
        let fixture = try Fixture()
        try fixture.write(Fixture.second, after: Fixture.first, up: "SELECT 1/0;", down: "")
        #expect(try psql(fixture, fixture.folder().upgradeScript("head")).errors.contains("division by zero"))
        #expect(try fixture.schema() == [])
    }

    @Test func aStatementThatEndsInACommentIsStillTerminated() throws {
        let fixture = try Fixture()
        try fixture.write(Fixture.second, after: Fixture.first, up: "SELECT 1 -- one", down: "")
        #expect(try psql(fixture, fixture.folder().upgradeScript("head")).errors.contains("note") == true)
        try fixture.write(Fixture.third, after: Fixture.second, up: "SELECT 2 -- two", down: "")
        #expect(try psql(fixture, fixture.folder().upgradeScript("head")).errors == "")
    }

    @Test func scriptsReadAsAlembicWritesThem() throws {
        let script = try Fixture().folder().upgradeScript("6640:aa11")
        #expect(script.hasPrefix("BEGIN;\n\n"))
        #expect(script.hasSuffix("COMMIT;\n"))
        #expect(script.contains("\n-- Running upgrade \(Fixture.first) -> \(Fixture.second)\n"))
        #expect(
            script.contains(
                "\nUPDATE alembic_version SET version_num='\(Fixture.second)' "
                    + "WHERE alembic_version.version_num = '\(Fixture.first)';\n"))
        #expect(!script.contains("CREATE TABLE IF NOT EXISTS alembic_version"))
    }

    @Test(arguments: ["-1", "base", ":base", "6640:head"])
    func aDowngradeNeedsARangeThatGoesDown(range: String) throws {
        let folder = try Fixture().folder()
        #expect(throws: MigrationError.self) { try folder.downgradeScript(range) }
    }

    @Test(arguments: ["head:6640", "zz", "6640:zz"])
    func anUpgradeNeedsARangeThatGoesUp(range: String) throws {
        let folder = try Fixture().folder()
        #expect(throws: MigrationError.self) { try folder.upgradeScript(range) }
    }
}
