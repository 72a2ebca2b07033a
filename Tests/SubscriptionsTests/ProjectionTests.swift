import Migrations
import Postgres
import Runtime
import TestSupport
import Testing

@testable import Subscriptions

/// The kept intervals answer as the definition does, whatever outsiders write.
@Suite struct ProjectionTests {
    /// Instants relative to the statement's: now, between the future dates of the histories, and on one of them.
    private static let instants = ["0", "1 minute", "10 minutes", "12 minutes", "25 minutes", "2 days"]

    /// What disagrees at one of the instants, as text; empty when nothing does. One statement sees one state.
    private static func disagreement(_ connection: Connection) throws -> [String] {
        try connection.run(
            script: """
                WITH instant AS (
                    SELECT now() AT TIME ZONE 'UTC' + span::interval AS at, span
                    FROM unnest('{\(instants.joined(separator: ","))}'::text[]) span
                    UNION SELECT effect_date, 'a row''s' FROM subscription_status_history
                    WHERE effect_date > now() AT TIME ZONE 'UTC' AND isfinite(effect_date)
                    UNION SELECT effect_date, 'a club''s' FROM club_status_history
                    WHERE effect_date > now() AT TIME ZONE 'UTC' AND isfinite(effect_date)),
                answer AS (
                    SELECT span,
                        ARRAY(SELECT e FROM eligible_by_definition(at) e ORDER BY 1) AS definition,
                        ARRAY(SELECT e FROM eligible_page(at, NULL, 100000) e ORDER BY 1) AS page,
                        ARRAY(SELECT id FROM generate_series(0, 2) part, eligible_in_json(at, part, 3) piece,
                            json_array_elements_text(('[' || piece || ']')::json) id ORDER BY 1) AS json
                    FROM instant)
                SELECT format('at %s: definition %s, page %s, json %s', span, definition, page, json) FROM answer
                WHERE definition::text[] IS DISTINCT FROM page::text[] OR definition::text[] IS DISTINCT FROM json
                UNION ALL SELECT format('intervals of %s', id) FROM wrong_active_intervals() id
                """, deadline: .soon
        ).map { try $0.decode(String.self) }
    }

    @Test("random statements of outsiders", arguments: 0..<6)
    func random(_ run: Int) throws {
        let seed = UInt64.random(in: 0...(.max))
        var outsider = Outsider(seed: seed)
        let shop = try Shop()
        let connection = try PostgresServer.shared.connect(to: shop.url)
        // Runs without and with subscriptions to settle: older snapshots leave every change unsettled.
        let isolation = run % 3 == 2 ? "REPEATABLE READ" : "READ COMMITTED"
        try connection.run(script: "SET default_transaction_isolation = '\(isolation)'", deadline: .never)
        for step in 0..<120 {
            let script = outsider.statement()
            do {
                try connection.run(script: script, deadline: .soon)
            } catch {
                // What the approved model itself refuses; nothing else may.
                try #require(
                    error.sqlState.map { ["23503", "23505"].contains($0) } ?? false,
                    "seed \(seed), step \(step): \(script): \(error)")
                try connection.run(script: "ROLLBACK", deadline: .never)
            }
            let wrong = try Self.disagreement(connection)
            try #require(wrong == [], "seed \(seed), step \(step): \(script)")
        }
        try shop.run("SELECT settle_subscriptions(100000)")
        #expect(try shop.count("SELECT count(*) FROM unsettled_subscription") == 0)
        #expect(try Self.disagreement(connection) == [], "seed \(seed), settled")
    }

    @Test(
        "a statement that fires two triggers leaves one interval",
        arguments: [
            """
            WITH s AS (INSERT INTO subscription VALUES ('bare', 1, 'c') ON CONFLICT (id) DO UPDATE SET club_id = 1
                RETURNING id)
            INSERT INTO subscription_status_history SELECT 'h', s.id, 1, '2021-01-01' FROM s
            """,
            """
            WITH u AS (UPDATE subscription SET club_id = 1 WHERE id = 'bare' RETURNING id)
            INSERT INTO subscription_status_history SELECT 'h', u.id, 1, '2021-01-01' FROM u
            """,
            """
            WITH d AS (DELETE FROM subscription_status_history WHERE id = 'first' RETURNING subscription_id)
            INSERT INTO subscription_status_history SELECT 'h', d.subscription_id, 1, '2021-01-01' FROM d
            """,
            """
            MERGE INTO subscription_status_history h USING (VALUES ('first'), ('h')) v (id) ON h.id = v.id
            WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (v.id, 'fresh', 1, '2021-01-01')
            """,
            """
            INSERT INTO subscription_status_history VALUES ('first', 'bare', 1, '2021-01-01'),
                ('h', 'fresh', 1, '2021-01-01')
            ON CONFLICT (id) DO UPDATE SET subscription_id = excluded.subscription_id
            """,
            """
            WITH u AS (UPDATE subscription_status_history SET details = '' WHERE id = 'first' RETURNING subscription_id)
            INSERT INTO subscription_status_history SELECT 'h', u.subscription_id, 1, utc_now() + '1 day' FROM u
            """,
        ])
    func twoTriggers(_ statement: String) throws {
        let shop = try Shop()
        let connection = try PostgresServer.shared.connect(to: shop.url)
        try connection.run(
            script: """
                \(Outsider.ground); INSERT INTO subscription VALUES ('bare', 2, 'c');
                BEGIN; INSERT INTO subscription VALUES ('fresh', 1, 'c');
                INSERT INTO subscription_status_history VALUES ('first', 'fresh', 1, '2021-01-01');
                \(statement); COMMIT
                """, deadline: .never)
        #expect(try Self.disagreement(connection) == [])
    }

    @Test("a truncation that cannot see every interval leaves all unsettled, and so none wrong")
    func truncation() throws {
        let shop = try Shop()
        let connection = try PostgresServer.shared.connect(to: shop.url)
        let upkeep = EligibilityUpkeep(connection)
        _ = try shop.subscription(club: try shop.club(), history: [(1, "-2 days")])
        try connection.run(
            script: "BEGIN ISOLATION LEVEL REPEATABLE READ; TRUNCATE subscription CASCADE; COMMIT", deadline: .soon)
        #expect(try shop.count("SELECT count(*) FROM active_interval") == 1)
        #expect(try upkeep.wrong(deadline: .soon).count == 0)
        #expect(try shop.eligible() == [])
        try shop.run("SELECT settle_subscriptions(100)")
        #expect(try shop.count("SELECT count(*) FROM active_interval") == 0)
        #expect(try upkeep.wrong(deadline: .soon).count == 0)
    }

    @Test("sessions that write the same histories at the same time, and never wait for each other's commit")
    func concurrency() throws {
        let seed = UInt64.random(in: 0...(.max))
        let shop = try Shop()
        try PostgresServer.shared.connect(to: shop.url).run(script: Outsider.ground, deadline: .never)
        let refusals = try concurrently(6) { thread in
            var outsider = Outsider(seed: seed &+ UInt64(thread))
            let connection = try PostgresServer.shared.connect(to: shop.url)
            var refusals: [String] = []
            for _ in 0..<60 {
                let statements = (0..<Int.random(in: 1...4, using: &outsider.generator)).map { _ in
                    outsider.insertion(moving: thread + 1)
                }
                let isolation = Bool.random(using: &outsider.generator) ? "READ COMMITTED" : "REPEATABLE READ"
                do {
                    try connection.run(
                        script: "BEGIN ISOLATION LEVEL \(isolation);\(statements.joined(separator: ";"));COMMIT",
                        deadline: .soon)
                } catch {
                    refusals.append("\(error)")
                    try connection.run(script: "ROLLBACK", deadline: .never)
                }
                try shop.run("SELECT settle_subscriptions(3)")
            }
            return refusals
        }
        #expect(refusals.flatMap { $0 } == [], "seed \(seed)")
        let connection = try PostgresServer.shared.connect(to: shop.url)
        #expect(try Self.disagreement(connection) == [], "seed \(seed)")
        try shop.run("SELECT settle_subscriptions(100000)")
        #expect(try shop.count("SELECT count(*) FROM unsettled_subscription") == 0)
        #expect(try Self.disagreement(connection) == [], "seed \(seed), settled")
    }

    @Test(
        "a writer of a history that another transaction has open does not wait; whoever reads next settles it",
        arguments: [false, true])
    func noWaiting(isPaged: Bool) throws {
        let shop = try Shop()
        let club = try shop.club()
        let id = try shop.subscription(club: club, history: [(1, "-2 days")])
        let (first, second) = (
            try PostgresServer.shared.connect(to: shop.url), try PostgresServer.shared.connect(to: shop.url)
        )
        func write(_ connection: Connection, _ row: String, _ status: Int, _ effect: String) throws {
            try connection.run(
                script: """
                    BEGIN; INSERT INTO subscription_status_history
                    VALUES ('\(row)', '\(id)', \(status), utc_now() - interval '\(effect)', utc_now(), '')
                    """, deadline: .after(milliseconds: 5000))
        }
        try write(first, "first", 2, "2 hours")
        try write(second, "second", 1, "1 hour")
        try first.run(script: "COMMIT", deadline: .never)
        func eligible() throws -> [String] {
            try shop.run("SELECT id FROM eligible_page(utc_now(), NULL, 10) e(id)").map { try $0.decode(String.self) }
        }
        #expect(try eligible() == [])
        try second.run(script: "COMMIT", deadline: .never)
        #expect(try eligible() == [id])
        #expect(try shop.count("SELECT count(*) FROM unsettled_subscription") == 1)
        if isPaged {
            #expect(try shop.eligible() == [id])
        } else {
            try shop.eligibility.writeAll(to: EligibilityTests.Collector(), deadline: .soon)
        }
        #expect(try shop.count("SELECT count(*) FROM unsettled_subscription") == 0)
        #expect(try shop.eligible() == [id])
    }

    @Test("an insertion of no rows does not wait for who has the subscriptions locked")
    func noWaitingForNothing() throws {
        let shop = try Shop()
        _ = try shop.subscription(club: try shop.club(), history: [(1, "-2 days")])
        let other = try shop.session()
        try other.run(script: "BEGIN; LOCK TABLE subscription", deadline: .never)
        try shop.session().run(
            script: "INSERT INTO subscription_status_history SELECT * FROM subscription_status_history WHERE false",
            deadline: .after(milliseconds: 5000))
    }

    @Test("whom no right but on the approved tables is given, and no search path, writes them all the same")
    func strangers() throws {
        let shop = try Shop()
        let club = try shop.club()
        let id = try shop.subscription(club: club, history: [])
        let role = "stranger_\(UInt32.random(in: 0...(.max)))"
        let connection = try PostgresServer.shared.connect(to: shop.url)
        try connection.run(
            script: """
                CREATE ROLE \(role);
                GRANT ALL ON club, club_status_history, subscription, subscription_status_history TO \(role);
                GRANT SELECT, REFERENCES ON status, club_status TO \(role);
                SET ROLE \(role); SET search_path = '';
                INSERT INTO public.subscription_status_history VALUES ('h1', '\(id)', 1, '2020-01-01', NULL, '');
                UPDATE public.subscription SET customer_store_id = 'other';
                UPDATE public.subscription_status_history SET details = 'other';
                """, deadline: .never)
        #expect(try shop.eligible() == [id])
        try connection.run(script: "DELETE FROM public.subscription_status_history", deadline: .never)
        try connection.run(script: "TRUNCATE public.subscription_status_history", deadline: .never)
        #expect(try shop.eligible() == [])
        try connection.run(script: "RESET ROLE; DROP OWNED BY \(role); DROP ROLE \(role)", deadline: .never)
    }

    @Test("temporary tables with our names are left alone, whatever schema ours are in")
    func temporaryTables() throws {
        let url = try PostgresServer.shared.freshDatabase()
        let (role, name) = ("stranger_\(UInt32.random(in: 0...(.max)))", url.split(separator: "/").last ?? "")
        let schema = #""Odd ""one""#
        let owner = try PostgresServer.shared.connect(to: url)
        try owner.run(
            script: "CREATE SCHEMA \(schema); ALTER DATABASE \(name) SET search_path = \(schema)", deadline: .never)
        try PostgresServer.shared.migrator("subscriptions", at: url).upgrade()
        let connection = try PostgresServer.shared.connect(to: url)
        try connection.run(
            script: """
                \(Outsider.ground)
                CREATE ROLE \(role); GRANT USAGE ON SCHEMA \(schema) TO \(role);
                GRANT ALL ON subscription, subscription_status_history TO \(role);
                SET ROLE \(role);
                CREATE TEMPORARY TABLE subscription (LIKE \(schema).subscription);
                CREATE TEMPORARY TABLE charge (id bigint, subscription_id varchar, retired_at timestamptz);
                CREATE TEMPORARY TABLE active_interval
                    (since timestamp, until timestamp, club_id integer, subscription_id varchar, json_id text);
                CREATE FUNCTION pg_temp.run() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN RAISE EXCEPTION 'runs as %', current_user; END $$;
                CREATE TRIGGER run BEFORE INSERT OR DELETE ON active_interval
                    FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.run();
                INSERT INTO \(schema).subscription VALUES ('new', 1, 'c'), ('gone', 1, 'c');
                INSERT INTO \(schema).subscription_status_history
                VALUES ('h1', 'new', 1, '2020-01-01'), ('h2', 's3', 1, '2020-01-01'), ('h3', 's4', 1, '2020-01-01');
                UPDATE \(schema).subscription SET id = 'other' WHERE id = 's2';
                DELETE FROM \(schema).subscription WHERE id = 'gone';
                DELETE FROM \(schema).subscription_status_history WHERE id = 'h3';
                DROP TABLE subscription, charge, active_interval CASCADE; RESET ROLE;
                """, deadline: .never)
        let eligible = try Eligibility(Database(url: url, application: "test"))
            .page(after: nil, limit: 100, deadline: .soon)
        #expect(eligible == ["new", "s3"])
        #expect(try Self.disagreement(connection) == [])
        try connection.run(script: "DROP OWNED BY \(role); DROP ROLE \(role)", deadline: .never)
    }
}
