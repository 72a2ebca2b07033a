import Migrations
import TestSupport
import Testing

/// Scripts that `--sql` prints, run on a database that is not where they begin.
@Suite struct OfflineStartTests {
    private let fixture: Fixture

    init() throws { fixture = try Fixture() }

    /// psql goes on after an error, as it does unless told otherwise.
    private func errors(_ script: String) throws -> String {
        try TestProcess.run(
            "psql", ["--no-psqlrc", "--quiet", "--dbname=\(fixture.url)"], input: script,
            environment: ["PGOPTIONS": "-c client_min_messages=warning"]
        ).errors
    }

    @Test func nothingIsDoneWhereTheDatabaseIsElsewhere() throws {
        let folder = try fixture.folder()
        // Only where it is refused beforehand does the function not come back.
        try fixture.write(
            Fixture.second, after: Fixture.first,
            up: "CREATE TABLE note (id integer); CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql RETURN 2;",
            down: "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1;")
        let other = try fixture.folder()
        try fixture.migrator().upgrade(to: Fixture.first)
        for script in [
            try other.downgradeScript("aa11:6640"), try other.upgradeScript("aa11:head"),
            try folder.stampScript("aa11:head"),
        ] {
            let found = try errors(script)
            #expect(
                found.contains("this script is for a database at \(Fixture.second), this one is at \(Fixture.first)"),
                "\(found)")
            #expect(try fixture.versions() == [Fixture.first])
            #expect(try fixture.column("SELECT revision FROM taproom_migration") == [Fixture.first])
            #expect(try fixture.column("SELECT count(*) FROM pg_proc WHERE proname = 'f'") == ["0"])
        }
        #expect(try errors(other.stampScript("head")).contains("for a database at <base>, this one is at"))
        #expect(try fixture.versions() == [Fixture.first])
    }
}
