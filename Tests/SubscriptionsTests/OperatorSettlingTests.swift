import Postgres
import Runtime
import TestSupport
import Testing

@testable import Charging

/// How an operator takes a charge out of doubt.
@Suite struct OperatorSettlingTests: ChargeSuite {
    let setup: ChargeSetup

    init() throws { setup = try ChargeSetup() }

    @Test("where nothing may be sent twice, a doubt waits for an operator")
    func manual() throws {
        let manual = shop.desk(platform, resend: .manual)
        platform.behave { _ in .cutAfterActing }
        let first = problem { _ = try manual.charge(subscription: subscription, requestID: "r-1", .test()) }
        #expect(first?.slug == "charge-outcome-unknown" && first?.detail.contains("operator") == true)
        platform.behave { _ in .order }
        try letTimePass()
        for request in ["r-1", "r-2"] {
            let refusal = problem { _ = try manual.charge(subscription: subscription, requestID: request, .test()) }
            #expect(refusal?.status == 504 && refusal?.slug == "charge-outcome-unknown")
            #expect(refusal?.detail.contains("operator") == true)
        }
        #expect(try settle(manual) == [0, 0, 0, 1])
        #expect(try manual.settle(.test(milliseconds: 55_000)).inDoubt == 1)
        #expect(platform.requests.count == 1)
        // An attempt that died is a doubt as well.
        try shop.run("UPDATE charge SET state = 'sending', in_doubt = false")
        #expect(
            problem { _ = try manual.charge(subscription: subscription, requestID: "r-3", .test()) }?.slug
                == "charge-outcome-unknown")
        #expect(platform.requests.count == 1)

        #expect(try decide("not-charged", nil) == "settled")
        let charged = try manual.charge(subscription: subscription, requestID: "r-4", .test())
        #expect(charged.receipt.requestID == "r-4")
        #expect(try manual.charge(subscription: subscription, requestID: "r-5", .test()).isReplay)
    }

    @Test func anOperatorSettlesAsCharged() throws {
        #expect(try decide("charged", "A-1") == "charge-not-found")
        try doubt("r-1")
        #expect(try decide("paid", nil) == "outcome-unknown-word")
        #expect(try decide("charged", " ") == "order-missing")
        #expect(try decide("not-charged", "A-1") == "order-not-allowed")
        #expect(try decide("charged", "A-1", who: "") == "who-missing")
        #expect(try decide("charged", "A-1", why: nil) == "why-missing")
        #expect(try shop.count("SELECT count(*) FROM charge_settlement") == 0)
        #expect(try decide("charged", "A-1") == "settled")
        #expect(try decide("charged", "A-1") == "already-charged")
        #expect(try decide("not-charged", nil) == "already-charged")
        let replay = try desk.charge(subscription: subscription, requestID: "r-9", .test())
        #expect(replay.isReplay && replay.receipt.order == #""A-1""#)
        #expect(try settle() == [0, 0, 0, 0])
        let row = try shop.run("SELECT outcome, platform_order, who, why FROM charge_settlement")[0]
        #expect(
            try row.decode(String.self, String.self, String.self, String.self)
                == ("charged", #""A-1""#, "ann", "asked the platform"))
        #expect(throws: PostgresError.self) { try shop.run("UPDATE charge_settlement SET who = 'bob'") }
        try shop.run("DELETE FROM charge_settlement")
    }

    @Test(
        "an order's id that looks like a number stays as it was given",
        arguments: ["5e12", "null", "12345678901234567890"])
    func anOrderIsNamed(id: String) throws {
        try doubt("r-1")
        #expect(try decide("charged", id) == "settled")
        let replay = try desk.charge(subscription: subscription, requestID: "r-9", .test())
        #expect(replay.receipt.order == "\"\(id)\"")
    }

    @Test func anOperatorSettlesAsNotCharged() throws {
        platform.behave { _ in .answer(503) }
        #expect(problem { try charge("r-1") } != nil)
        platform.behave { _ in .order }
        #expect(try decide("not-charged", nil) == "settled")
        #expect(try decide("not-charged", nil) == "not-in-doubt")
        try charge("r-2")
        #expect(platform.orders == ["r-2": 1])
    }

    @Test("an order that the platform does not know stays in doubt, backs off and waits for an operator")
    func unknownToThePlatform() throws {
        try doubt("r-1")
        platform.behave { _ in .answer(404) }
        for _ in 1...2 {
            try letTimePass()
            #expect(try settle() == [0, 0, 1, 0])
        }
        #expect(try desk.settle(.test(milliseconds: 55_000)).inDoubt == 1)
        #expect(try charge(of: subscription) == ("unknown", 3, "r-1"), "not due before half an hour is over")
        #expect(try decide("charged", "A-1") == "settled")
        #expect(try desk.charge(subscription: subscription, requestID: "r-2", .test()).isReplay)
        #expect(platform.orders == ["r-1": 1])
    }

    @Test func nobodySettlesWhatIsBeingSent() throws {
        let gate = Gate()
        platform.behave { _ in .holdAfterActing(gate) }
        let running = Background { [self] in try charge("r-1") }
        try platform.waitForRequests(1)
        #expect(try decide("charged", "A-1") == "attempt-running")
        #expect(try decide("not-charged", nil) == "attempt-running")
        gate.open()
        _ = try running.value()
    }

    @Test("a JSON order stays as it was given")
    func jsonOrder() throws {
        try doubt("r-1")
        #expect(try decide("charged", #"{"order_id": 7}"#) == "settled")
        #expect(
            try desk.charge(subscription: subscription, requestID: "r-1", .test()).receipt.order == #"{"order_id": 7}"#)
    }

    @Test func whatComesAfterTheOperatorsWordChangesNothing() throws {
        let late = try attempt("r-1")
        try letTimePass()
        #expect(try decide("not-charged", nil) == "settled")
        let standing = try ledger.finish(late, .unanswered(reason: ""), cause: .test, deadline: .soon)
        #expect(!standing.isInDoubt)
        #expect(try charge(of: subscription).state == "declined")
        #expect(try receipt("r-2").requestID == "r-2")
    }

    @Test("of two orders the first is on the books under its own request id, which tells them apart")
    func theOrderOfALateAttempt() throws {
        let late = try attempt("r-1")
        try letTimePass()
        #expect(try decide("not-charged", nil) == "settled")
        let next = try attempt("r-2")
        let kept = try ledger.finish(late, .charged(status: 200, order: "1"), cause: .test, deadline: .soon).receipt
        #expect(kept?.requestID == "r-1" && kept?.order == "1")
        let again = try ledger.finish(next, .charged(status: 200, order: "2"), cause: .test, deadline: .soon).receipt
        #expect(again == kept)
        #expect(try receipt("r-3") == kept)
    }

    @Test func ofTwoOperatorsAtOnceTheFirstDecides() throws {
        try doubt("r-1")
        let first = try shop.session()
        try first.execute("BEGIN", deadline: .soon)
        try first.execute("SELECT settle_charge(id, 'charged', 'A', 'ann', 'w') FROM charge", deadline: .soon)
        let second = Background { [self] in try decide("not-charged", nil) }
        try Eventually.happens("the second to wait") {
            try shop.count(
                """
                SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                """) > 0
        }
        try first.execute("COMMIT", deadline: .soon)
        #expect(try second.value() == "already-charged")
        #expect(try charge(of: subscription).state == "charged")
        #expect(try shop.count("SELECT count(*) FROM charge_settlement") == 1)
    }
}
