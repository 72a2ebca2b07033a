import Foundation
import Migrations
import Postgres
import Runtime
import TestSupport

/// A project folder with migrations of `subscriptions` and a database of its own.
struct Fixture {
    let project: TemporaryFolder
    let url: String
    let connection: Connection

    static let first = "6640484e5703"
    static let second = "aa11aa11aa11"
    static let third = "aa22bb22bb22"
    static let approvedModel = "6640484e5703_approved_model.sql"

    /// The repository's own first revision and two more with what SQL has in traps: routines, triggers, quotes.
    init() throws {
        project = try TemporaryFolder()
        // What makes the folder a project; no function is needed here.
        try project.write("functions.yml", "functions: {}\n")
        url = try PostgresServer.shared.freshDatabase()
        connection = try PostgresServer.shared.connect(to: url)
        let model = URL(filePath: "\(Repository.root)/migrations/subscriptions/\(Self.approvedModel)")
        try write(Self.approvedModel, String(decoding: try Data(contentsOf: model), as: UTF8.self))
        try write(
            Self.second, after: Self.first,
            up: """
                CREATE TABLE note (id serial PRIMARY KEY, text text DEFAULT 'a; b');
                CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $body$
                BEGIN
                    NEW.text := upper(NEW.text); -- not 'closed
                    RETURN NEW;
                END
                $body$;
                CREATE TRIGGER shout BEFORE INSERT ON note FOR EACH ROW EXECUTE FUNCTION shout();
                """,
            down: "DROP TABLE note; DROP FUNCTION shout()")
        try write(
            Self.third, after: Self.second,
            up: """
                CREATE INDEX note_text ON note (text);
                CREATE FUNCTION one() RETURNS integer BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END;
                """,
            down: "DROP FUNCTION one(); DROP INDEX note_text;")
    }

    var path: String { "\(project.path)/migrations/subscriptions" }

    func write(_ name: String, _ text: String) throws { try project.write("migrations/subscriptions/\(name)", text) }

    func write(_ revision: String, after: String, up: String, down: String) throws {
        try write("\(revision)_step.sql", Self.file(revision, after: after, up: up, down: down))
    }

    static func file(_ revision: String, after: String, up: String = "", down: String = "") -> String {
        """
        -- revision: \(revision)
        -- down revision: \(after)
        -- message: step \(revision)

        -- migrate: up
        \(up)
        -- migrate: down
        \(down)

        """
    }

    /// A configuration file with every key, as a copy of model_config.json is.
    func configure(_ name: String, subscriptions: String) throws {
        try project.write(
            name,
            """
            {"databases": {"subscriptions": "\(subscriptions)"}, "embedded_passwords": {"subscriptions": "secret"},
             "ecommerce": {"url": "", "api_key": "key", "api_secret": "secret"}, "billing": {"time_zone": "UTC"},
             "gateway": {"port": 8080}}
            """)
    }

    func folder() throws -> MigrationFolder { try .load(path) }

    func migrator(progress: @escaping (MigrationProgress) -> Void = { _ in }) throws -> Migrator {
        Migrator(connection: connection, folder: try folder(), patienceMilliseconds: 200, progress: progress)
    }

    /// The first column of a query, NULL as an empty text.
    func column(_ query: String) throws -> [String] {
        try connection.run(script: query, deadline: .never).map { row in
            let text: String? = try row.decode(String?.self)
            return text ?? ""
        }
    }

    /// Everything of the schema that pg_catalog knows, one line an object.
    func schema() throws -> [String] {
        try column(
            """
            SELECT line FROM (
                SELECT format('%s.%s %s %s %s', relname, attname, format_type(atttypid, atttypmod),
                    CASE WHEN attnotnull THEN 'NOT NULL' END, pg_get_expr(adbin, adrelid)) AS line
                FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
                LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
                WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
                UNION ALL SELECT format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
                FROM pg_constraint WHERE connamespace = 'public'::regnamespace
                UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
                UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
                UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
                UNION ALL SELECT format('%s at %s', sequencename, last_value) FROM pg_sequences
            ) lines ORDER BY line COLLATE "C"
            """)
    }

    func versions() throws -> [String] { try column("SELECT version_num FROM alembic_version") }

    /// Runs `taproom migrate` in the project folder.
    func taproom(_ arguments: String..., environment: [String: String] = [:]) throws -> TestProcess {
        try TestProcess.run(
            TestProcess.product("taproom"), ["migrate"] + arguments,
            environment: ["TAPROOM_DATABASES_SUBSCRIPTIONS": url].merging(environment) { $1 }, folder: project.path)
    }
}
