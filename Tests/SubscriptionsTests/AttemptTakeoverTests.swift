import Postgres
import Runtime
import Subscriptions
import TestSupport
import Testing

@testable import Charging

/// Attempts that run or died, and who comes after them.
@Suite struct AttemptTakeoverTests: ChargeSuite {
    let setup: ChargeSetup

    init() throws { setup = try ChargeSetup() }

    /// An attempt whose process died, with its lease over.
    private func deadAttempt(_ request: String) throws {
        _ = try attempt(request)
        try letTimePass()
    }

    @Test("an attempt that died is a doubt, and stays one when the next gets no order", arguments: [429, 401, 404])
    func aDeadAttemptIsADoubt(status: Int) throws {
        try deadAttempt("r-1")
        platform.behave { _ in .answer(status) }
        #expect(problem { try charge("r-2") }?.extensions["outcome"] == "unknown")
        platform.behave { _ in .order }
        #expect(try receipt("r-3").requestID == "r-1")
    }

    @Test("so it does when settling gets no order", arguments: [429, 401, 404])
    func aDeadAttemptThatIsSettled(status: Int) throws {
        try deadAttempt("r-1")
        platform.behave { _ in .answer(status) }
        #expect(try settle() == [0, 0, 1, 0])
        platform.behave { _ in .order }
        #expect(try receipt("r-3").requestID == "r-1")
    }

    @Test("of a subscription paused since, the refusal does not say that nothing was charged")
    func aDeadAttemptOfAPausedSubscription() throws {
        try deadAttempt("r-1")
        try shop.history(subscription, StatusID.paused, effect: "0 seconds")
        let refusal = problem { try charge("r-2") }
        #expect(refusal?.slug == "not-chargeable" && refusal?.extensions["outcome"] == "unknown")
    }

    @Test func aDeadAttemptIsInDoubtSinceItsLeaseEnded() throws {
        try deadAttempt("r-1")
        #expect(try shop.count("SELECT count(*) FROM charge_doubt") == 1)
        platform.behave { _ in .answer(503) }
        #expect(problem { try charge("r-2") } != nil)
        #expect(
            try shop.count("SELECT count(*) FROM charge WHERE doubt_since < clock_timestamp() - interval '300 days'")
                == 1)
    }

    @Test func whatIsBeingSentAgainIsStillInDoubt() throws {
        try doubt("r-1")
        _ = try attempt("r-1")
        #expect(try shop.count("SELECT count(*) FROM charge_doubt") == 1)
    }

    @Test func theLeaseOutlastsTheTimeLimit() throws {
        let gate = Gate()
        platform.behave { _ in .holdAfterActing(gate) }
        let running = Background { [self] in try charge("r-1") }
        try platform.waitForRequests(1)
        let lease = try shop.run("SELECT extract(epoch FROM lease_until - created_at)::float8 FROM charge")
        gate.open()
        _ = try running.value()
        #expect(try lease[0].decode(Double.self) > 20)
    }

    @Test func theAttemptAfterARefusalHasALeaseToo() throws {
        platform.behave { _ in .answer(402) }
        #expect(problem { try charge("r-1") } != nil)
        _ = try attempt("r-2")
        guard case .inProgress(isRunning: true) = try begin("r-3") else { throw UnexpectedBeginning() }
    }

    @Test("who has waited for another's attempt sends nothing: a platform in trouble gets one call")
    func whoHasWaitedSendsNothing() throws {
        let gate = Gate()
        platform.behave { _ in
            PlatformBehaviour(acts: false, before: .until(gate), reply: .answer(status: 429, body: [], headers: []))
        }
        let first = Background { [self] in problem { try charge("r-1") }?.slug }
        try platform.waitForRequests(1)
        // Counts who asks: once for all of a statement, and once for each of them.
        try shop.run("CREATE SEQUENCE months_asked")
        try shop.run(
            """
            CREATE OR REPLACE FUNCTION billing_period(p_at timestamptz, p_zone text) RETURNS char(7)
            LANGUAGE plpgsql VOLATILE AS $$ BEGIN
                PERFORM nextval('months_asked');
                RETURN to_char(p_at AT TIME ZONE p_zone, 'YYYY-MM');
            END $$
            """)
        let second = Background { [self] in problem { try charge("r-2") }?.slug }
        try Eventually.happens("the second to have asked, and to ask again") {
            try shop.count("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM months_asked") >= 3
        }
        gate.open()
        #expect(try second.value() == "charge-in-progress")
        #expect(try first.value() == "platform-busy")
        #expect(platform.requests.count == 1)
    }
}
