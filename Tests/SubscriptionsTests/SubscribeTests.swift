import Events
import Postgres
import Runtime
import Subscriptions
import TestSupport
import Testing

@Suite struct SubscribeTests {
    let shop: Shop

    init() throws { shop = try Shop() }

    func subscribe(_ customer: String, _ club: Int32) throws -> String {
        try shop.store.subscribe(customer: customer, toClub: club, cause: .test, deadline: .soon)
            .id
    }

    @Test(
        "ids that are not UUIDs are customers like any other",
        arguments: ["00000000-0000-0000-000-0000000000000", "7", "joão 🍺", String(repeating: "x", count: 36)])
    func opaqueIDs(customer: String) throws {
        let club = try shop.club()
        let id = try subscribe(customer, club)
        #expect(id.wholeMatch(of: /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/) != nil, "\(id)")
        #expect(try shop.status(of: id) == StatusID.active)
        #expect(try shop.count("SELECT count(*) FROM subscription WHERE customer_store_id = \(customer)") == 1)
    }

    @Test func racingRequestsMakeOneSubscription() throws {
        let club = try shop.club()
        let outcomes = try concurrently(100) { [shop] _ in
            do {
                let made = try shop.store.subscribe(customer: "racer", toClub: club, cause: .test, deadline: .soon)
                return "made \(made.id)"
            } catch let problem as Problem {
                return "\(problem.status) \(problem.slug) \(problem.extensions["subscription_id"] ?? "")"
            }
        }
        let made = outcomes.filter { $0.hasPrefix("made") }
        #expect(made.count == 1)
        let id = made[0].dropFirst(5)
        #expect(outcomes.count { $0 == "409 already-subscribed \(id)" } == 99)
        #expect(try shop.count("SELECT count(*) FROM subscription") == 1)
        #expect(try shop.count("SELECT count(*) FROM subscription_status_history") == 1)
    }

    @Test("where transactions keep their first snapshot by default, who waited for another's subscription sees it")
    func snapshotsByDefault() throws {
        let club = try shop.club()
        let first = try shop.session()
        let name = try shop.run("SELECT current_database()")[0].decode(String.self)
        try first.run(
            script: "ALTER DATABASE \(name) SET default_transaction_isolation = 'repeatable read'", deadline: .never)
        try first.execute("BEGIN", deadline: .never)
        try first.execute(
            "SELECT subscribe(\([Int(club)]), '{racer}', '{s}', \([Identifier.uuid()]), '{NULL}', '{NULL}', false)",
            deadline: .never)
        let later = SubscriptionStore(Database(url: shop.url, application: "later"), RelaySignal(Settings([:])))
        let second = Background {
            problem {
                _ = try later.subscribe(customer: "racer", toClub: club, cause: .test, deadline: .soon)
            }?.slug
        }
        try Eventually.happens("the second to wait") {
            try shop.count(
                """
                SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'later' AND wait_event = 'advisory'
                """) == 1
        }
        try first.execute("COMMIT", deadline: .never)
        #expect(try second.value() == "already-subscribed")
        #expect(try shop.count("SELECT count(*) FROM subscription") == 1)
    }

    @Test("without its seed row a status is not said to be an unknown club or subscription")
    func statusesGone() throws {
        let club = try shop.club()
        let id = try shop.subscription(club: club, history: [])
        try shop.run("TRUNCATE status CASCADE")
        let constraint = "subscription_status_history_status_id_fkey"
        let refusals = [
            problem { _ = try subscribe("a", club) },
            problem {
                _ = try shop.store.changeStatus(
                    of: id, to: StatusID.paused, effectDate: nil, returnAfterDays: nil, details: nil, cause: .test,
                    deadline: .soon)
            },
        ]
        #expect(refusals.map { $0?.status } == [500, 500])
        #expect(refusals.allSatisfy { $0?.debug?.contains(constraint) == true })
    }

    @Test("a first subscription of any status stands in the way of a second", arguments: 1...3)
    func anyStatusCounts(status: Int) throws {
        let club = try shop.club()
        let first = try shop.subscription(club: club, customer: "once", history: [(status, "-1 hour")])
        let refusal = problem { _ = try subscribe("once", club) }
        #expect(refusal?.slug == "already-subscribed")
        #expect(refusal?.extensions["subscription_id"] == first)
        #expect(try subscribe("once", try shop.club()) != first)
    }

    @Test func onlyToAClubThatIsActiveNow() throws {
        #expect(problem { _ = try subscribe("a", 4711) }?.slug == "club-not-found")
        for club in [try shop.club(status: 2), try shop.club(status: 3), try shop.club(status: nil)] {
            #expect(problem { _ = try subscribe("a", club) }?.slug == "club-not-active")
        }
        let opening = try shop.club(status: 3)
        try shop.clubHistory(Int(opening), 1, effect: "1 hour")
        #expect(problem { _ = try subscribe("a", opening) }?.slug == "club-not-active")
        try shop.run(
            "UPDATE club_status_history SET effect_date = utc_now() WHERE club_id = \(Int(opening)) AND club_status_id = 1"
        )
        _ = try subscribe("a", opening)
        #expect(try shop.count("SELECT count(*) FROM subscription") == 1)
    }

    @Test func aFutureRowTakesEffectByItself() throws {
        let club = try shop.club(status: 3)
        try shop.clubHistory(Int(club), 1, effect: "300 milliseconds")
        try Eventually.happens("the club to open") { problem { _ = try subscribe("early", club) } == nil }
    }

    @Test("ties of the effect date go to the later create date, then to the greater id")
    func ties() throws {
        let club = try shop.club()
        let id = try shop.subscription(club: club, history: [])
        func row(_ key: String, _ status: Int, created: String?) throws {
            try shop.run(
                """
                INSERT INTO subscription_status_history
                VALUES (\(key), \(id), \(status), '2026-01-01', \(created)::timestamp, NULL)
                """)
        }
        try row("m", 1, created: "2026-01-02")
        try row("a", 2, created: "2026-01-03")
        try row("z", 3, created: nil)
        #expect(try shop.status(of: id) == 2, "a row without create date is the earliest")
        try row("b", 3, created: "2026-01-03")
        #expect(try shop.status(of: id) == 3)
        try shop.run("INSERT INTO subscription_status_history VALUES ('zz', \(id), 1, NULL, utc_now(), NULL)")
        #expect(try shop.status(of: id) == 3, "a row without effect date takes no effect")
    }
}
