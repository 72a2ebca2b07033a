import Migrations
import Postgres
import Runtime
import Testing

/// Databases that Alembic has had in its hands; what it does is spelled out in SQL.
@Suite struct AlembicTests {
    /// A database as Alembic leaves it at the first revision.
    private func migratedByAlembic() throws -> Fixture {
        let fixture = try Fixture()
        try fixture.migrator().upgrade(to: Fixture.first)
        try run(
            fixture,
            """
            DROP TABLE taproom_migration;
            DROP TABLE alembic_version;
            CREATE TABLE alembic_version (
                version_num VARCHAR(32) NOT NULL,
                CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
            );
            INSERT INTO alembic_version (version_num) VALUES ('6640484e5703')
            """)
        return fixture
    }

    private func run(_ fixture: Fixture, _ script: String) throws {
        try fixture.connection.run(script: script, deadline: .never)
    }

    @Test func itIsContinuedWithoutAWord() throws {
        let fixture = try migratedByAlembic()
        var reports: [String] = []
        let migrator = try fixture.migrator { reports.append($0.description) }
        #expect(try migrator.current() == Fixture.first)
        #expect(try migrator.check() == [.behind(current: Fixture.first, head: Fixture.third)])
        #expect(try fixture.column("SELECT to_regclass('taproom_migration')::text") == [""])
        try migrator.upgrade()
        #expect(reports.map { $0.hasPrefix("Running upgrade") } == [true, true])
        #expect(try migrator.check() == [])
    }

    @Test func itsRevisionsAreWatchedFromTheFirstRunOn() throws {
        let fixture = try migratedByAlembic()
        try fixture.migrator().upgrade(to: Fixture.first)
        #expect(try fixture.column("SELECT revision FROM taproom_migration") == [Fixture.first])
    }

    /// A database that we brought to the third revision and Alembic back to the second.
    private func takenBackByAlembic() throws -> Fixture {
        let fixture = try Fixture()
        try fixture.migrator().upgrade()
        try run(
            fixture,
            """
            DROP FUNCTION one(); DROP INDEX note_text;
            UPDATE alembic_version SET version_num='\(Fixture.second)' WHERE version_num = '\(Fixture.third)'
            """)
        return fixture
    }

    @Test func whatItTookBackIsOnRecordNoLonger() throws {
        let fixture = try takenBackByAlembic()
        try fixture.migrator().upgrade(to: Fixture.second)
        #expect(
            try fixture.column("SELECT revision FROM taproom_migration ORDER BY applied_at")
                == [Fixture.first, Fixture.second])
    }

    @Test func whatItTookBackIsForgotten() throws {
        let fixture = try takenBackByAlembic()
        // An edit of a file that is not applied is nobody's concern.
        try fixture.write(Fixture.third, after: Fixture.second, up: "SELECT 1;", down: "")
        let migrator = try fixture.migrator()
        #expect(try migrator.check() == [.behind(current: Fixture.second, head: Fixture.third)])
        try migrator.upgrade()
        #expect(try migrator.check() == [])
    }

    @Test func whatItDowngradesToBaseIsUpgradedAgain() throws {
        let fixture = try migratedByAlembic()
        try fixture.migrator().downgrade(to: "base")
        #expect(try fixture.versions() == [])
        try fixture.migrator().upgrade()
        #expect(try fixture.versions() == [Fixture.third])
    }
}
