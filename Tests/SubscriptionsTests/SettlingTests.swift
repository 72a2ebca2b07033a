import Foundation
import Migrations
import Postgres
import Runtime
import Subscriptions
import TestSupport
import Testing

@testable import Charging

/// How a charge comes out of doubt by the settling function.
@Suite struct SettlingTests: ChargeSuite {
    let setup: ChargeSetup

    init() throws { setup = try ChargeSetup() }

    @Test func aDoubtIsSettledWithItsPinnedIDWhenItIsDue() throws {
        try doubt("r-1")
        let early = try desk.settle(.test(milliseconds: 55_000))
        #expect(early.unknown == 0 && early.inDoubt == 1 && early.waiting == 0, "not due before a minute is over")
        try letTimePass()
        #expect(try settle() == [1, 0, 0, 0])
        #expect(try charge(of: subscription) == ("charged", 2, "r-1"))
        #expect(platform.requests.map(\.requestID) == ["r-1", "r-1"])
        #expect(platform.requests[0].body == platform.requests[1].body)
        #expect(platform.orders == ["r-1": 1])
        #expect(
            try shop.count(
                """
                SELECT count(*) FROM charge
                WHERE settle_at IS NULL AND settle_count = 0 AND NOT in_doubt AND doubt_since IS NULL
                """) == 1)
        let events = try shop.run("SELECT what FROM charge_event ORDER BY id").map { try $0.decode(String.self) }
        #expect(events == ["begun", "unknown", "begun", "charged"])
        // A request that comes later gets the recorded answer.
        #expect(try desk.charge(subscription: subscription, requestID: "r-2", .test()).isReplay)
    }

    @Test("killed before or during the call: settled when the lease is over, not sooner")
    func anAttemptThatDied() throws {
        _ = try attempt("dead")
        #expect(try settle() == [0, 0, 0, 0])
        // Its subscription is paused meanwhile, and its club sells something else: the order may exist as it was sent.
        try shop.history(subscription, StatusID.paused, effect: "0 seconds")
        try shop.run("UPDATE club SET store_sku = 99")
        try letTimePass()
        #expect(try settle() == [1, 0, 0, 0])
        #expect(try charge(of: subscription) == ("charged", 2, "dead"))
        #expect(try TestJSON(parsing: platform.requests[0].body)["sku_id"]?.integer == 700)
    }

    @Test("what a request sends again at this moment is not sent beside it, however long it has been due")
    func whatARequestSendsAgain() throws {
        try doubt("r-1")
        try letTimePass()
        _ = try attempt("r-1")
        #expect(try settle() == [0, 0, 0, 0])
        #expect(platform.requests.count == 1)
    }

    @Test func backsOffUntilItIsSettled() throws {
        platform.behave { _ in .answer(503) }
        #expect(problem { try charge("r-1") } != nil)
        let minutes: [Double] = [1, 5, 30, 120, 1440, 1440]
        for (index, expected) in minutes.enumerated() {
            let (count, wait) = try shop.run(
                """
                SELECT settle_count, extract(epoch FROM settle_at - lease_until) / 60 FROM charge WHERE state = 'unknown'
                """)[0].decode(Int.self, Double.self)
            #expect(count == index)
            #expect(abs(wait - expected) < 0.1)
            try letTimePass()
            #expect(try settle() == [0, 0, 1, 0])
        }
        platform.behave { _ in .answer(402) }
        try letTimePass()
        #expect(try settle() == [0, 1, 0, 0])
        #expect(try charge(of: subscription).state == "declined")
        platform.behave { _ in .order }
        try charge("r-2")
        #expect(platform.orders == ["r-2": 1])
    }

    @Test("several are sent at the same time, after one that goes first")
    func together() throws {
        try doubts(9)
        try letTimePass()
        let before = platform.requests.count
        let gate = Gate()
        platform.behave { $0.ordinal == before ? .order : .holdBeforeActing(gate) }
        let run = Background { [self] in try settle() }
        try platform.waitForRequests(before + 9)
        gate.open()
        #expect(try run.value() == [9, 0, 0, 0])
    }

    @Test("while nobody is there, one doubt a run loses a try and the others wait for the platform")
    func anOutageUsesUpNoTries() throws {
        try doubts(20)
        let away = try ScriptedPlatform()
        away.stop()
        let desk = shop.desk(away)
        for _ in 1...3 {
            try letTimePass()
            #expect(try settle(desk) == [0, 0, 1, 0])
        }
        #expect(try shop.count("SELECT sum(settle_count) FROM charge") == 3)
        try letTimePass()
        #expect(try settle() == [20, 0, 0, 0])
    }

    @Test("so it is while a platform refuses us, is busy or does not work", arguments: [401, 403, 429, 502, 503, 504])
    func aPlatformThatTakesNothingUsesUpNoTries(status: Int) throws {
        try doubts(10)
        platform.behave { _ in .answer(status) }
        for _ in 1...3 {
            try letTimePass()
            #expect(try settle() == [0, 0, 1, 0])
        }
        #expect(try shop.count("SELECT sum(settle_count) FROM charge") == 3)
        platform.behave { _ in .order }
        try letTimePass()
        #expect(try settle() == [10, 0, 0, 0])
    }

    @Test("an answer that settles nothing may be about that order alone; many in a row are not", arguments: [404, 500])
    func uselessAnswers(status: Int) throws {
        try doubts(20)
        try letTimePass()
        let before = platform.requests.count
        platform.behave { $0.ordinal == before ? .answer(status) : .order }
        #expect(try settle() == [19, 0, 1, 0])
        try doubts(20)
        try letTimePass()
        platform.behave { _ in .answer(status) }
        // The first, the eight that follow it, and three more before the fifth answer is here.
        #expect(try settle() == [0, 0, 12, 0])
    }

    @Test("once its process is to end, a run finishes what it has sent and sends no more")
    func theProcessEnds() throws {
        try doubts(12)
        try letTimePass()
        let before = platform.requests.count
        let gate = Gate()
        platform.behave { $0.ordinal == before ? .order : .holdAfterActing(gate) }
        let settling = try ScheduledProcess(
            "SettleChargesFunction", name: "settle-charges", everySeconds: 1,
            environment: [
                "DATABASE_URL": shop.url, "ECOMMERCE_URL": platform.url, "ECOMMERCE_API_KEY": "key",
                "ECOMMERCE_API_SECRET": "secret", "ECOMMERCE_RESEND": "idempotent", "TAPROOM_TIMEOUT": "55",
            ])
        try platform.waitForRequests(before + 9)
        settling.process.terminate()
        try Eventually.happens("the signal to be taken") { try settling.process.hasRaisedStop() }
        let leases = """
            SELECT count(*) FROM charge c JOIN charge_event e ON e.charge_id = c.id AND e.attempt = c.attempt
            WHERE c.state = 'sending' AND c.lease_until > e.at + interval '20 seconds'
            """ as SQL
        #expect(try shop.count(leases) == 8, "nobody else sends what is out")
        gate.open()
        #expect(try settling.process.waitForEnd() == .exited(0))
        #expect(platform.requests.count == before + 9)
        #expect(try shop.count("SELECT count(*) FROM charge WHERE state = 'charged'") == 9)
        #expect(try shop.count("SELECT count(*) FROM charge WHERE state = 'unknown' AND settle_count = 0") == 3)
    }

    @Test("a doubt whose settling dies backs off as well, and does not stand in front of the others for ever")
    func whatDiesBacksOff() throws {
        let other = try shop.subscription(club: try shop.club(), history: [])
        try doubt("deadly")
        try doubt("r-2", of: other)
        try letTimePass()
        func claim() throws -> [String] {
            try shop.run("SELECT sent_request FROM claim_unsettled(1, 0)").map { try $0.decode(String.self) }
        }
        // The lease is over at once and nothing is recorded, as when the process dies.
        #expect(try claim() == ["deadly"])
        #expect(try claim() == ["r-2"])
        #expect(try claim() == [])
        let minutes = try shop.run(
            "SELECT round(extract(epoch FROM settle_at - lease_until) / 60)::int FROM charge WHERE request_id = 'deadly'"
        )
        #expect(try minutes[0].decode(Int.self) == 5)
        try letTimePass()
        #expect(try settle() == [2, 0, 0, 0])
    }

    @Test("what a claim reads does not grow with the number of doubts", arguments: [false, true])
    func claimsAmongMany(isAnalyzed: Bool) throws {
        try shop.run(
            """
            WITH made AS (
                INSERT INTO charge (subscription_id, period, state, request_id, customer_id, sku_id, in_doubt,
                                    lease_until, created_at, settle_at)
                SELECT n, '2026-11', 'unknown', 'r-' || n, 'c', 1, true, now() - interval '1 day', now(),
                       now() - n * interval '1 second'
                FROM generate_series(1, 20000) n RETURNING request_id, id)
            INSERT INTO charge_request SELECT * FROM made
            """)
        if isAnalyzed { try shop.run("ANALYZE charge, charge_request") }
        let read = try shop.database.rowsRead(of: "charge") {
            let first = try shop.run("SELECT sent_request FROM claim_unsettled(1, 60000)")[0].decode(String.self)
            #expect(first == "r-20000")
            #expect(try shop.run("SELECT FROM claim_unsettled(8, 60000)").count == 8)
        }
        #expect(read < 100)
    }

    @Test("several settling processes at once send every doubt once")
    func racing() throws {
        try doubts(30)
        try letTimePass()
        let before = platform.requests.count
        let reports = try concurrently(4) { _ in try settle() }
        #expect(reports.map { $0[0] }.reduce(0, +) == 30)
        #expect(platform.requests.count == before + 30)
        #expect(platform.orders.count == 30 && platform.orderCount == 30)
    }

    @Test("last month's doubt is settled this month, beside this month's charge")
    func lastMonth() throws {
        try doubt("old")
        try shop.run("UPDATE charge SET period = '2001-01'")
        try charge("new")
        try letTimePass()
        #expect(try settle() == [1, 0, 0, 0])
        let rows = try shop.run("SELECT period, state, request_id FROM charge ORDER BY period").map {
            try $0.decode(String.self, String.self, String.self)
        }
        #expect(rows.map(\.1) == ["charged", "charged"] && rows.map(\.2) == ["old", "new"])
        #expect(platform.orders == ["old": 1, "new": 1])
    }

    @Test func theDoubtOfADeletedSubscriptionIsSettledUnlessItsIDWasTaken() throws {
        let other = try shop.subscription(club: try shop.club(), history: [])
        try doubt("r-1")
        try doubt("r-2", of: other)
        try shop.run("TRUNCATE subscription CASCADE")
        let heir = try shop.subscription(club: try shop.club(), history: [])
        platform.behave { _ in .answer(402) }
        #expect(problem { try charge("r-2", of: heir) }?.slug == "charge-declined")
        platform.behave { _ in .order }
        try letTimePass()
        #expect(try settle() == [1, 0, 0, 1])
        #expect(try charge(of: subscription).state == "charged")
        #expect(try charge(of: other).state == "unknown")
    }

    @Test func aSubscriptionShowsItsDoubtAndSinceWhen() throws {
        let records = SubscriptionRecords(shop.database)
        func shown() throws -> TestJSON? {
            try TestJSON(
                parsing: JSON.encode(records.record(of: subscription, deadline: .soon))
            )["charges"]?.elements.first
        }
        try doubt("r-1")
        let first = try #require(try shown()?["doubt_since"]?.string)
        #expect(try shown()?["status"]?.string == "unknown")
        // Trying again and not knowing better does not make the doubt a younger one.
        platform.behave { _ in .answer(500) }
        try shop.run("UPDATE charge SET settle_at = NULL")
        #expect(try settle() == [0, 0, 1, 0])
        #expect(try shown()?["doubt_since"]?.string == first)
        platform.behave { _ in .order }
        try charge("r-1")
        #expect(try shown()?["status"]?.string == "charged")
        #expect(try shown()?["doubt_since"] == nil)
    }

    @Test("the schema goes down and up again with doubts in it")
    func downAndUp() throws {
        try doubt("r-1")
        try shop.migrator().downgrade(to: "c7e4a90d5b62")
        #expect(try shop.count("SELECT count(*) FROM charge WHERE state = 'unknown' AND in_doubt") == 1)
        // As a function of that time would charge.
        let row = try shop.run(
            """
            SELECT charge_id, charge_attempt, sent_request
            FROM begin_charge(\(subscription), 'r-2', 'UTC', 60000, false)
            """)[0]
        let (id, attempt, request) = try row.decode(Int.self, Int.self, String.self)
        try shop.run("SELECT finish_charge(\(id), \(attempt), \(request), 'charged', 200, '{}', NULL)")
        #expect(try charge(of: subscription) == ("charged", 2, "r-1"))
        try shop.migrator().upgrade()
        #expect(try settle() == [0, 0, 0, 0])
    }
}
