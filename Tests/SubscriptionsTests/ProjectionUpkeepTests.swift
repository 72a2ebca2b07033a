import Postgres
import Runtime
import Subscriptions
import TestSupport
import Testing

/// What finds and mends intervals that are not those of the histories.
@Suite struct ProjectionUpkeepTests {
    @Test("the check of all intervals ends in time also where the statistics are from before there were any")
    func oldStatistics() throws {
        let shop = try Shop()
        let connection = try shop.session()
        try connection.run(
            script: """
                ALTER TABLE subscription SET (autovacuum_enabled = off);
                ALTER TABLE subscription_status_history SET (autovacuum_enabled = off);
                INSERT INTO club VALUES (1);
                INSERT INTO subscription SELECT n, NULL, 'c' FROM generate_series(1, 30) n;
                INSERT INTO subscription_status_history SELECT n, n, 1, NULL FROM generate_series(1, 30) n
                """, deadline: .soon)
        try connection.run(script: "ANALYZE; TRUNCATE subscription CASCADE", deadline: .soon)
        try connection.run(
            script: """
                INSERT INTO subscription SELECT n, 1, 'c' FROM generate_series(1, 60000) n;
                INSERT INTO subscription_status_history SELECT n, n, 1, '2021-01-01' FROM generate_series(1, 60000) n
                """, deadline: .soon)
        #expect(try EligibilityUpkeep(connection).wrong(deadline: .soon).count == 0)
    }

    @Test("what was written while the triggers were off is found, and a rebuild mends it")
    func upkeep() throws {
        let shop = try Shop()
        let club = try shop.club()
        let ids = try (0..<3).map { _ in try shop.subscription(club: club, history: [(1, "-2 days")]) }
        let connection = try PostgresServer.shared.connect(to: shop.url)
        let upkeep = EligibilityUpkeep(connection)
        #expect(try upkeep.wrong(deadline: .soon).count == 0)
        try connection.run(
            script: """
                SET session_replication_role = replica;
                DELETE FROM subscription_status_history WHERE subscription_id = '\(ids[0])';
                UPDATE subscription_status_history SET status_id = 2 WHERE subscription_id = '\(ids[1])';
                INSERT INTO subscription VALUES ('new', \(club), 'c');
                INSERT INTO subscription_status_history VALUES ('new', 'new', 1, '2020-01-01');
                RESET session_replication_role;
                """, deadline: .soon)
        let wrong = try upkeep.wrong(deadline: .soon)
        #expect(wrong.count == 3)
        #expect(wrong.example == "new")
        #expect(try upkeep.rebuild(deadline: .soon) == 0)
        #expect(try upkeep.wrong(deadline: .soon).count == 0)
        #expect(try shop.eligible() == ["new", ids[2]])
    }

    @Test("a rebuild waits while another session settles, and says so when nothing came of it")
    func rebuildBesideAnother() throws {
        let shop = try Shop()
        _ = try shop.subscription(club: try shop.club(), history: [(1, "-2 days")])
        let (url, other) = (shop.url, try shop.session())
        // As settle_subscriptions takes it.
        let settle = "BEGIN; SELECT pg_advisory_xact_lock(1635018102, -1)"
        func rebuild() -> Background<Int> {
            Background {
                let connection = try Connection(url: url, application: "rebuild", deadline: .soon)
                return try EligibilityUpkeep(connection).rebuild(deadline: .soon)
            }
        }
        try other.run(script: settle, deadline: .never)
        let patient = rebuild()
        try Eventually.happens("the rebuild to find that nothing was settled") {
            try shop.count(
                """
                SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'rebuild'
                    AND query LIKE '%FROM unsettled_subscription%'
                """) == 1
        }
        try other.run(script: "COMMIT", deadline: .never)
        #expect(try patient.value() == 0)
        #expect(try shop.count("SELECT count(*) FROM unsettled_subscription") == 0)

        try other.run(script: settle, deadline: .never)
        let postponed = #expect(throws: (any Error).self) { try rebuild().value() }
        #expect(postponed.map { "\($0)" }?.contains("nothing was rebuilt") == true)
    }

    @Test("who deletes the intervals and has not ended keeps nobody from the list")
    func deletedMeanwhile() throws {
        let shop = try Shop()
        let id = try shop.subscription(club: try shop.club(), history: [(1, "-2 days")])
        try shop.run("INSERT INTO unsettled_subscription VALUES (\(id))")
        let outsider = try shop.session()
        try outsider.run(script: "BEGIN; DELETE FROM active_interval", deadline: .soon)
        #expect(try shop.eligibility.page(after: nil, limit: 10, deadline: .soon) == [id])
        #expect(try shop.eligible() == [id])
        try outsider.run(script: "DELETE FROM unsettled_subscription; ROLLBACK", deadline: .soon)
        #expect(try EligibilityUpkeep(outsider).rebuild(deadline: .soon) == 0)
    }

    @Test("those whom somebody writes keep nobody else from being settled")
    func whoIsWrittenStandsInNobodysWay() throws {
        let shop = try Shop()
        let other = try shop.session()
        try other.run(
            script: "BEGIN; SELECT pg_advisory_xact_lock(1635018102, lock_share('a'))", deadline: .never)
        try shop.run("INSERT INTO unsettled_subscription VALUES ('a'), ('b')")
        #expect(try shop.count("SELECT count(*) WHERE lock_share('a') = lock_share('b')") == 0)
        #expect(try shop.count("SELECT settle_subscriptions(1)") == 1)
        #expect(try shop.count("SELECT settle_subscriptions(1)") == 0)
        try other.run(script: "COMMIT", deadline: .never)
        #expect(try shop.count("SELECT settle_subscriptions(1)") == 1)
    }

    @Test("many unsettled subscriptions are no piece of the list that grows with them")
    func manyUnsettled() throws {
        let shop = try Shop()
        let upkeep = EligibilityUpkeep(try shop.session())
        let club = Int(try shop.club())
        try shop.run(
            """
            WITH made AS (
                INSERT INTO subscription SELECT 's' || n, \(club), 'c', utc_now() FROM generate_series(1, 10001) n
                RETURNING id)
            INSERT INTO subscription_status_history SELECT id, id, 1, '2021-01-01', utc_now(), '' FROM made
            """)
        #expect(try upkeep.manyUnsettled(deadline: .soon) == nil)
        // As a rebuild that was killed leaves it, in its first batch and after it.
        for unsettled in ["SELECT NULL", "SELECT id FROM subscription"] {
            try shop.run("DELETE FROM unsettled_subscription")
            try shop.run("INSERT INTO unsettled_subscription \(unsafeText: unsettled)")
            #expect(try upkeep.manyUnsettled(deadline: .soon) == 10_001)
            let (longest, all) = try shop.run(
                """
                SELECT max(length(piece)), sum(json_array_length(('[' || piece || ']')::json))
                FROM generate_series(0, 1) part, eligible_in_json(utc_now(), part, 2) piece
                """)[0].decode(Int.self, Int.self)
            #expect(longest < 1000 && all == 10_001)
        }
        try shop.run("DELETE FROM unsettled_subscription WHERE subscription_id = 's1'")
        #expect(try upkeep.manyUnsettled(deadline: .soon) == nil)
    }

    @Test("taproom rebuild-eligibility works whatever isolation the server has as its default")
    func rebuildWithAnotherIsolation() throws {
        let shop = try Shop()
        let name = shop.url.split(separator: "/").last.map(String.init) ?? ""
        try shop.run("ALTER DATABASE \(unsafeText: name) SET default_transaction_isolation = 'repeatable read'")
        let run = try TestProcess.run(
            TestProcess.product("taproom"), ["rebuild-eligibility"],
            environment: ["TAPROOM_DATABASES_SUBSCRIPTIONS": shop.url], folder: Repository.root)
        #expect(run.status == 0 && run.output == "Rebuilt.\n", "\(run.output)\(run.errors)")
    }

    @Test("taproom rebuild-eligibility works on the database that the instance was started with, whatever named it")
    func rebuildOfTheInstance() throws {
        let (shop, folder) = (try Shop(), try TemporaryFolder())
        let state = folder.path + "/state"
        try StartedInstance(
            state: state, scope: "staging", configurationFile: folder.path + "/gone.json",
            databases: ["subscriptions": shop.url]
        ).write()
        func rebuild(_ arguments: String..., variables: [String: String] = [:]) throws -> TestProcess {
            try TestProcess.run(
                TestProcess.product("taproom"), ["rebuild-eligibility"] + arguments,
                environment: variables.merging(["TAPROOM_STATE": state]) { $1 }, folder: Repository.root)
        }
        for run in [try rebuild(), try rebuild("--scope", "staging")] {
            #expect(run.status == 0 && run.output == "Rebuilt.\n", "\(run.output)\(run.errors)")
        }
        let elsewhere = "postgresql://postgres@127.0.0.1:1/none"
        for (run, why) in [
            (try rebuild("--scope", "other"), "other_config.json is not usable"),
            (try rebuild(variables: ["TAPROOM_CONFIG": folder.path + "/named.json"]), "named.json"),
            (try rebuild(variables: ["TAPROOM_DATABASES_SUBSCRIPTIONS": elsewhere]), "127.0.0.1"),
        ] {
            #expect(run.status == 1 && run.errors.contains(why), "\(run.output)\(run.errors)")
        }
    }
}
