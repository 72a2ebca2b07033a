import Charging
import Postgres
import Runtime
import Subscriptions
import TestSupport
import Testing

/// What is asked at the same moment goes to the database together; nobody may notice but by the time it takes.
@Suite struct ManyAtOnceTests {
    private let uuid = "00000000-0000-4000-8000-000000000000"
    let shop: Shop

    init() throws { shop = try Shop() }

    @Test func aCrowdOfDifferentRequestsGetsEachItsOwnAnswer() throws {
        let (open, closed) = (try shop.club(), try shop.club(status: 2))
        let first = try shop.store.subscribe(customer: "old", toClub: open, cause: .test, deadline: .soon).id
        let outcomes = try concurrently(80) { [shop] number -> String in
            let (club, customer) =
                switch number % 4 {
                case 0: (open, "new “\\\(number)\",NULL")
                case 1: (open, "old")
                case 2: (closed, "late \(number)")
                default: (4711, "lost \(number)")
                }
            do {
                let made = try shop.store.subscribe(customer: customer, toClub: club, cause: .test, deadline: .soon)
                return try shop.run("SELECT customer_store_id FROM subscription WHERE id = \(made.id)")[0]
                    .decode(String.self)
            } catch let problem as Problem {
                return "\(problem.slug) \(problem.extensions["subscription_id"] ?? "")"
            }
        }
        for (number, outcome) in outcomes.enumerated() {
            switch number % 4 {
            case 0: #expect(outcome == "new “\\\(number)\",NULL")
            case 1: #expect(outcome == "already-subscribed \(first)")
            case 2: #expect(outcome == "club-not-active ")
            default: #expect(outcome == "club-not-found ")
            }
        }
        #expect(try shop.count("SELECT count(*) FROM subscription") == 21)
        #expect(try shop.count("SELECT count(*) FROM subscription_status_history") == 21)
    }

    @Test func racingChangesOfOneSubscriptionLeaveOneAutomaticReturn() throws {
        let id = try shop.subscription(club: try shop.club(), history: [(StatusID.active, "-1 day")])
        let returns = try concurrently(40) { [shop] number in
            try shop.store.changeStatus(
                of: id, to: StatusID.paused, effectDate: nil, returnAfterDays: number + 1, details: nil, cause: .test,
                deadline: .soon
            ).returnsAt
        }
        #expect(returns.allSatisfy { $0 != nil })
        #expect(
            try shop.count("SELECT count(*) FROM subscription_status_history WHERE subscription_id = \(id)") == 42)
        #expect(
            try shop.count(
                """
                SELECT count(*) FROM subscription_status_history
                WHERE subscription_id = \(id) AND details = 'Automatic return schedule'
                """) == 1)
        #expect(try shop.count("SELECT count(*) FROM superseded_return") == 39)
    }

    /// An outside suite's open transaction holds a club's row; whoever subscribes elsewhere must not wait for it.
    @Test func whoIsHeldUpHoldsUpNobodyElse() throws {
        let (held, free) = (try shop.club(), try shop.club())
        let outsider = try Connection(url: shop.url, application: "outside", deadline: .soon)
        try outsider.run(script: "BEGIN; SELECT FROM club WHERE id = \(held) FOR UPDATE", deadline: .soon)
        let waiting = Background { [shop] in
            try concurrently(4) {
                try shop.store.subscribe(customer: "held \($0)", toClub: held, cause: .test, deadline: .soon).id
            }
        }
        try Eventually.happens("the held ones to wait") {
            try shop.count(
                """
                SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                """) > 0
        }
        _ = try concurrently(20) { [shop] number in
            try shop.store.subscribe(customer: "free \(number)", toClub: free, cause: .test, deadline: .soon).id
        }
        #expect(try shop.count("SELECT count(*) FROM subscription") == 20)
        try outsider.run(script: "ROLLBACK", deadline: .soon)
        #expect(Set(try waiting.value()).count == 4)
        #expect(try shop.count("SELECT count(*) FROM subscription") == 24)
    }

    /// An outside suite truncates table by table. It looks for a deadlock before a change of status would.
    @Test func whoeverTruncatesIsNotEndedForAChangeOfStatus() throws {
        let id = try shop.subscription(club: try shop.club(), history: [])
        let outsider = try shop.session()
        try outsider.run(
            script: "SET deadlock_timeout = '500ms'; BEGIN; TRUNCATE subscription_status_history", deadline: .soon)
        let change = Background { [shop] in
            problem {
                _ = try shop.store.changeStatus(
                    of: id, to: StatusID.paused, effectDate: nil, returnAfterDays: nil, details: nil, cause: .test,
                    deadline: .soon)
            }?.slug
        }
        try Eventually.happens("the change to wait, alone") {
            try shop.count(
                """
                SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                WHERE a.datname = current_database() AND clock_timestamp() - l.waitstart > interval '60 milliseconds'
                """) > 0
        }
        #expect(throws: Never.self) {
            try outsider.run(script: "TRUNCATE subscription CASCADE; COMMIT", deadline: .soon)
        }
        #expect(try change.value() == "subscription-not-found")
    }

    @Test func theDatabaseTakesNoTwoChangesOfOneSubscriptionInOneCall() throws {
        let id = try shop.subscription(club: try shop.club(), history: [(StatusID.active, "-1 day")])
        let error = try #require(throws: PostgresError.self) {
            try shop.run(
                """
                SELECT outcome FROM change_status(
                    \([id, id]), '{2,1}', '{NULL,NULL}', '{NULL,NULL}', '{NULL,NULL}', \([uuid, uuid]),
                    '{c,d}', '{NULL,NULL}', '{NULL,NULL}', false)
                """)
        }
        #expect(error.sqlState == "21000")
        #expect(
            try shop.count("SELECT count(*) FROM subscription_status_history WHERE subscription_id = \(id)") == 1)
    }

    @Test func theDatabaseSubscribesACustomerOnceInOneCall() throws {
        let club = Int(try shop.club())
        let rows = try shop.run(
            """
            SELECT outcome, subscription_id
            FROM subscribe(\([club, club]), '{twin,twin}', '{s1,s2}', \([uuid, uuid]), '{NULL,NULL}', '{NULL,NULL}', false)
            """)
        let answers = try rows.map { try $0.decode(String.self, String.self) }
        #expect(answers.map(\.0) == ["subscribed", "already-subscribed"])
        #expect(answers.map(\.1) == ["s1", "s1"])
    }

    @Test func theChargesOfACrowdKeepTheirPlaces() throws {
        let club = try shop.club()
        let ids = try (0..<5).map { _ in try shop.subscription(club: club, history: []) }
        func sent(once: Bool) throws -> [String] {
            try shop.run(
                """
                SELECT sent_request
                FROM begin_charges(\(ids), \(ids), 'UTC', '{1,1,1,1,1}', '{f,f,f,f,f}', \(once), false)
                """
            ).map { try $0.decode(String.self) }
        }
        for once in [false, true] {
            #expect(try sent(once: once) == ids)
            try shop.run("UPDATE charge SET state = 'released'")
        }
        let platform = try ScriptedPlatform()
        let desk = shop.desk(platform)
        for id in ids { _ = try desk.charge(subscription: id, requestID: "r-\(id)", .test()) }
        let replays = ids.map { "r-\($0)" }
        #expect(try sent(once: false) == replays)
    }

    @Test func theOutcomesOfACrowdKeepTheirPlaces() throws {
        let club = try shop.club()
        let ids = try (0..<3).map { _ in try shop.subscription(club: club, history: []) }
        let charges = try shop.run(
            """
            SELECT charge_id FROM begin_charges(\(ids), \(ids), 'UTC', '{60000,60000,60000}', '{f,f,f}', false, false)
            """
        ).map { try $0.decode(Int.self) }
        let orders = ids.map { #"{"order_of":"\#($0)"}"# }
        let rows = try shop.run(
            """
            SELECT sent_request, recorded_order FROM finish_charges(
                \(charges), '{1,1,1}', \(ids), '{charged,charged,charged}', '{200,200,200}', \(orders), \(orders), \(ids),
                '{NULL,NULL,NULL}', '{NULL,NULL,NULL}', false)
            """
        ).map { try $0.decode(String.self, String.self) }
        #expect(rows.map(\.0) == ids && rows.map(\.1) == orders)
    }

    @Test func theChangesOfACrowdKeepTheirPlaces() throws {
        let club = try shop.club()
        let ids = try (0..<3).map { _ in try shop.subscription(club: club, history: []) }
        let uuids = (0..<6).map { _ in Identifier.uuid() }
        let rows = try shop.run(
            """
            SELECT (returns - effect)::text FROM change_status(
                \(ids), '{3,3,3}', '{NULL,NULL,NULL}', '{1,2,3}', '{NULL,NULL,NULL}', \(Array(uuids[..<3])),
                \(Array(uuids[3...])), '{NULL,NULL,NULL}', '{NULL,NULL,NULL}', false)
            """)
        let pauses: [String] = try rows.map { try $0.decode(String.self) }
        #expect(pauses == ["1 day", "2 days", "3 days"])
    }
}
