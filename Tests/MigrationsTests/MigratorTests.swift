import Migrations
import Postgres
import Runtime
import TestSupport
import Testing

/// Online runs on a real PostgreSQL.
@Suite struct MigratorTests {
    @Test func upDownUpLeavesTheSameSchema() throws {
        let fixture = try Fixture()
        let migrator = try fixture.migrator()
        try migrator.upgrade()
        let schema = try fixture.schema()
        let rows = "SELECT name FROM club_status UNION ALL SELECT name FROM status ORDER BY 1"
        let seeds = try fixture.column(rows)
        #expect(schema.contains { $0.contains("note_text") })
        #expect(try migrator.isAtHead())

        try migrator.downgrade(to: "base")
        #expect(try migrator.current() == nil)
        #expect(
            try fixture.column(
                "SELECT relname FROM pg_class WHERE relkind IN ('r', 'S') AND relnamespace = "
                    + "'public'::regnamespace ORDER BY 1") == ["alembic_version", "taproom_migration"])
        #expect(try fixture.column("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace") == [])
        #expect(try fixture.column("SELECT revision FROM taproom_migration") == [])

        try migrator.upgrade()
        #expect(try fixture.schema() == schema)
        #expect(try fixture.column(rows) == seeds)
    }

    @Test func stepsAreReportedAndTaken() throws {
        let fixture = try Fixture()
        var reports: [String] = []
        let migrator = try fixture.migrator { reports.append($0.description) }
        for (target, revision) in [("+1", Fixture.first), ("aa11", Fixture.second), ("head", Fixture.third)] {
            try migrator.upgrade(to: target)
            #expect(try migrator.current() == revision)
        }
        try migrator.upgrade(to: "aa11")
        try migrator.downgrade(to: "head")
        try migrator.downgrade(to: "-2")
        #expect(try migrator.current() == Fixture.first)
        #expect(
            reports == [
                "Running upgrade  -> \(Fixture.first), approved model",
                "Running upgrade \(Fixture.first) -> \(Fixture.second), step \(Fixture.second)",
                "Running upgrade \(Fixture.second) -> \(Fixture.third), step \(Fixture.third)",
                "Running downgrade \(Fixture.third) -> \(Fixture.second), step \(Fixture.third)",
                "Running downgrade \(Fixture.second) -> \(Fixture.first), step \(Fixture.second)",
            ])
    }

    @Test func aFailingRevisionIsRolledBackWholeAndNamed() throws {
        let fixture = try Fixture()
        try fixture.write(
            Fixture.third, after: Fixture.second,
            up: "CREATE TABLE half (id integer);\n\nINSERT INTO half\nVALUES (nope);",
            down: "")
        let migrator = try fixture.migrator()
        let error = #expect(throws: MigrationError.self) { try migrator.upgrade() }
        #expect(
            error?.description == """
                \(fixture.path)/\(Fixture.third)_step.sql:9: column "nope" does not exist (SQLSTATE 42703)
                The revision was rolled back; the database is at \(Fixture.second).
                """)
        #expect(try fixture.versions() == [Fixture.second])
        #expect(try fixture.column("SELECT to_regclass('half')::text") == [""])
        #expect(try fixture.column("SELECT count(*) FROM taproom_migration") == ["2"])
    }

    @Test(arguments: [
        ("SELECT 1;\nSELECT 1/0;", 7, "division by zero"),
        ("SELECT 1;\nCREATE TABLE club ();", 7, "relation \"club\" already exists"),
        ("SELECT 'é\n\n', nope;", 8, "column \"nope\" does not exist"),
        ("\nCOPY club FROM STDIN;", 7, "COPY moves data that nobody here sends or takes"),
        (
            "CREATE TABLE c (id integer UNIQUE DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO c VALUES (1), (1);", 1,
            "duplicate key value violates unique constraint"
        ),
    ])
    func aFailureNamesItsLine(up: String, line: Int, text: String) throws {
        let fixture = try Fixture()
        try fixture.write(Fixture.second, after: Fixture.first, up: up, down: "")
        try fixture.migrator().upgrade(to: "+1")
        let error = #expect(throws: MigrationError.self) { try fixture.migrator().upgrade() }
        let place = "\(fixture.path)/\(Fixture.second)_step.sql:\(line): \(text)"
        #expect(error?.description.hasPrefix(place) == true, "\(error?.description ?? "")")
        let observer = try PostgresServer.shared.connect(to: fixture.url)
        let version = try observer.execute("SELECT version_num FROM alembic_version", deadline: .never)
        #expect(try version[0].decode(String.self) == Fixture.first)
    }

    @Test func stampMovesTheVersionAndRunsNothing() throws {
        let fixture = try Fixture()
        let migrator = try fixture.migrator()
        try migrator.stamp("aa11")
        #expect(try migrator.current() == Fixture.second)
        #expect(try fixture.column("SELECT to_regclass('club')::text") == [""])
        try migrator.stamp("base")
        #expect(try fixture.versions() == [])
        try migrator.stamp("head")
        #expect(try migrator.isAtHead())
    }

    @Test("a database whose version was deleted with all other rows: the way out is said, and is one")
    func anEmptiedVersionTable() throws {
        let fixture = try Fixture()
        let migrator = try fixture.migrator()
        try migrator.upgrade()
        try fixture.connection.deleteEverything(deadline: .soon)
        let error = #expect(throws: MigrationError.self) { try migrator.upgrade() }
        #expect(error?.description.contains("stamp the revision that the database is really at") == true)
        try migrator.stamp("head")
        try migrator.upgrade()
        #expect(try migrator.check() == [])
    }

    @Test func anUnknownRevisionInTheDatabaseStopsEverythingButPurge() throws {
        let fixture = try Fixture()
        let migrator = try fixture.migrator()
        try migrator.stamp("head")
        try fixture.column("UPDATE alembic_version SET version_num = 'feedbeef' RETURNING 1").forEach { _ in }
        #expect(throws: MigrationError.self) { try migrator.upgrade() }
        #expect(throws: MigrationError.self) { try migrator.downgrade(to: "base") }
        #expect(throws: MigrationError.self) { try migrator.stamp("head") }
        #expect(try fixture.versions() == ["feedbeef"])
        #expect(
            try migrator.check() == [.unknown(revision: "feedbeef", folder: fixture.path)])
        try migrator.stamp("head", purge: true)
        #expect(try migrator.check() == [])
    }

    @Test func severalVersionsAreRefused() throws {
        let fixture = try Fixture()
        let migrator = try fixture.migrator()
        try migrator.stamp("head")
        _ = try fixture.column("INSERT INTO alembic_version VALUES ('feedbeef') RETURNING 1")
        #expect(throws: MigrationError.self) { try migrator.current() }
        #expect(throws: MigrationError.self) { try migrator.upgrade() }
    }

    @Test func somebodyElsesMoveRollsTheRevisionBack() throws {
        let fixture = try Fixture()
        // The revision's own text moves the version, as an Alembic that knows no lock could between our two looks.
        try fixture.write(
            Fixture.second, after: Fixture.first, up: "UPDATE alembic_version SET version_num = 'feedbeef';", down: "")
        #expect(throws: MigrationError.self) { try fixture.migrator().upgrade() }
        #expect(try fixture.versions() == [Fixture.first])
    }

    @Test func aDatabaseThatDoesNotHoldEveryTextIsRefused() throws {
        let fixture = try Fixture()
        let name = "latin_\(UInt32.random(in: 0...(.max)))"
        try fixture.connection.run(
            script: "CREATE DATABASE \(name) ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0", deadline: .never)
        let migrator = Migrator(
            connection: try PostgresServer.shared.connect(to: PostgresServer.shared.url(name)),
            folder: try fixture.folder())
        let error = #expect(throws: MigrationError.self) { try migrator.upgrade() }
        #expect(error?.description.contains("CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0") == true)
        #expect(try migrator.current() == nil)
    }

    /// Who runs with the owner's rights must not be led to another's table of the same name.
    @Test func functionsWithASearchPathOfTheirOwnLookForTemporaryTablesLast() throws {
        for service in try MigrationFolder.services(in: Repository.root + "/migrations") {
            let connection = try PostgresServer.shared.connect(to: PostgresServer.shared.freshDatabase())
            try Migrator(connection: connection, folder: .load("\(Repository.root)/migrations/\(service)")).upgrade()
            let others = try connection.execute(
                """
                SELECT p.proname::text FROM pg_proc p
                LEFT JOIN LATERAL (
                    SELECT c.setting FROM unnest(p.proconfig) c (setting)
                    WHERE c.setting LIKE 'search_path=%') s ON true
                WHERE p.pronamespace = 'public'::regnamespace AND (p.prosecdef OR s.setting IS NOT NULL)
                    AND s.setting IS DISTINCT FROM 'search_path=public, pg_temp'
                """, deadline: .never
            ).map { try $0.decode(String.self) }
            #expect(others == [], "\(service)")
        }
    }
}
