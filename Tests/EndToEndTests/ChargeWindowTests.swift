import Glibc
import Postgres
import Runtime
import TestSupport
import Testing

/// Every window in which a charge may be lost or made twice, through the real gateway against a platform that
/// misbehaves on command. What is left open is settled by the next request.
@Suite(.serialized) struct ChargeWindowTests: WindowSuite {
    let broken: Breakage
    let platform: ScriptedPlatform
    let club: Int

    init() throws { (broken, platform, club) = try Self.prepare(PrivateInstance.broken) }

    // MARK: Kills

    @Test func window01KilledBeforeTheRow() throws {
        let window = try window(1)
        try chargeAndDie(window, at: .beforeBegin)
        #expect(try window.states().isEmpty && window.sent.isEmpty)
        #expect(try requestID(window.charge("b")) == "b")
        try window.audit("killed before the pending row commits")
    }

    @Test("killed while PostgreSQL writes the row: it is written all the same, and its id is pinned")
    func window01KilledWhileTheRowIsWritten() throws {
        let window = try window(1)
        let holder = try standingStill()
        defer { try? letRowsBeWritten() }
        let lost = window.chargeInBackground("a")
        try waitUntilCharging(waits: "PgSleep")
        broken.killFunction()
        #expect(try lost.value().status == 502)
        #expect(try window.states().isEmpty)
        try holder.execute("COMMIT", deadline: .soon)
        try window.waitFor(state: "sending")
        #expect(try requestID(window.settle("b")) == "a")
        #expect(window.sent == ["a"])
        try window.audit("killed while the pending row is written")
    }

    @Test func window02KilledBeforeTheCall() throws {
        let window = try window(2)
        try chargeAndDie(window, at: .afterBegin)
        #expect(try window.states() == ["sending"] && window.sent.isEmpty)
        #expect(try requestID(window.settle("b")) == "a")
        #expect(window.sent == ["a"])
        try window.audit("killed after the row, before the call")
    }

    @Test(arguments: [false, true]) func window03KilledDuringTheCall(hasActed: Bool) throws {
        let window = try window(3)
        let gate = Gate()
        platform.behave { _ in hasActed ? .holdAfterActing(gate) : .holdBeforeActing(gate) }
        let lost = window.chargeInBackground("a")
        try Eventually.happens("the call") { window.sent == ["a"] && window.orders.isEmpty != hasActed }
        broken.killFunction()
        #expect(try lost.value().status == 502)
        platform.behave { _ in .order }
        gate.open()
        #expect(try requestID(window.settle("b")) == "a")
        #expect(window.sent == ["a", "a"])
        try window.audit("killed during the call, \(hasActed ? "after" : "before") the platform acted")
    }

    @Test func window04KilledBeforeTheRecord() throws {
        let window = try window(4)
        try chargeAndDie(window, at: .beforeFinish)
        #expect(try window.states() == ["sending"] && window.orders.count == 1)
        #expect(try requestID(window.settle("b")) == "a")
        try window.audit("order made, killed before our commit")
    }

    @Test func window05TheClientNeverHears() throws {
        for isKilled in [true, false] {
            let window = try window(5)
            if isKilled {
                try chargeAndDie(window, at: .afterFinish)
                #expect(try window.states() == ["charged"])
            } else {
                try broken.shop.http.abandon(
                    "POST", "/subscription/\(window.subscription)/charge/\(window.id("a"))")
            }
            let first = try window.settle("a")
            let second = try window.charge("a")
            #expect(first.body == second.body)
            #expect(second.headers["idempotent-replayed"] == "true")
            #expect(try requestID(first) == "a")
            try window.audit("committed, \(isKilled ? "killed before the answer" : "the client left")")
        }
    }

    // MARK: Races and repeated ids

    @Test func window08RacingDuplicates() throws {
        let window = try window(8)
        platform.behave { _ in PlatformBehaviour(before: .milliseconds(300)) }
        let answers = try concurrently(30) { _ in try window.charge("a") }
        #expect(answers.allSatisfy { $0.status == 200 } && Set(answers.map(\.body)).count == 1)
        #expect(window.sent == ["a"])
        try window.audit("30 racing duplicates, the platform takes its time")

        let slow = try self.window(8)
        let gate = Gate()
        platform.behave { _ in .holdAfterActing(gate) }
        let first = slow.chargeInBackground("a")
        try Eventually.happens("the call") { slow.sent == ["a"] }
        let others = try concurrently(5) { _ in try slow.charge("a") }
        #expect(others.allSatisfy { $0.problem == "charge-in-progress" && $0.headers["retry-after"] != nil })
        gate.open()
        #expect(try first.value().body == (try slow.charge("a")).body)
        #expect(slow.sent == ["a"])
        try slow.audit("duplicates of a call that takes longer than they wait")
    }

    @Test func window09AnotherIDAfterSuccess() throws {
        let window = try window(9)
        let first = try window.charge("a")
        let second = try window.charge("b")
        #expect(second.body == first.body && second.headers["idempotent-replayed"] == "true")
        #expect(window.sent == ["a"])
        try window.audit("another id after success")
    }

    @Test func window10AnotherIDAfterADoubt() throws {
        let window = try window(10)
        platform.behave { $0.times == 1 ? .cutAfterActing : .order }
        #expect(try window.charge("a").problem == "charge-outcome-unknown")
        #expect(try requestID(window.charge("b")) == "a")
        #expect(window.sent == ["a", "a"])
        try window.audit("another id while the first is unknown")
    }

    @Test func window11TheIDOfAnother() throws {
        let (window, other) = (try window(11), try window(11))
        _ = try window.charge("a")
        let refused = try broken.shop.http.request(
            "POST", "/subscription/\(other.subscription)/charge/\(window.id("a"))")
        #expect(refused.status == 422 && refused.problem == "request-id-reused")
        #expect(window.sent == ["a"])
        try window.audit("the subscription whose id it is")
        try other.audit("same id for another subscription", orders: 0)
    }

    // MARK: Between the check and the call

    @Test(arguments: [2, 3]) func window15PausedOrCancelledMeanwhile(status: Int) throws {
        let window = try window(15)
        let holder = try locked(window)
        let late = window.chargeInBackground("a")
        try waitUntilCharging(waits: "advisory")
        let change = try broken.shop.http.request(
            "POST", "/subscription/\(window.subscription)/status/", json: #"{"status_id":\#(status)}"#)
        #expect(change.status == 200, "\(change.text)")
        try holder.execute("COMMIT", deadline: .soon)
        #expect(try late.value().problem == "not-chargeable")
        #expect(try window.states().isEmpty && window.sent.isEmpty)
        try window.audit("\(status == 2 ? "cancelled" : "paused") between check and row", orders: 0)
    }

    @Test("once the row is written, the charge is made")
    func window15PausedAfterTheRow() throws {
        let window = try window(15)
        try broken.hold(at: .afterBegin)
        let first = window.chargeInBackground("a")
        try window.waitFor(state: "sending")
        _ = try broken.shop.http.request(
            "POST", "/subscription/\(window.subscription)/status/", json: #"{"status_id":3}"#)
        try broken.release()
        #expect(try first.value().status == 200)
        #expect(try window.charge("b").headers["idempotent-replayed"] == "true")
        try window.audit("paused after the row is written")
    }

    @Test func window17InsertedAgain() throws {
        let window = try window(17)
        #expect(try window.charge("a").status == 200)
        try broken.sql("DELETE FROM subscription_status_history WHERE subscription_id = \(window.subscription)")
        try broken.sql("DELETE FROM subscription WHERE id = \(window.subscription)")
        try broken.sql("INSERT INTO subscription VALUES (\(window.subscription), \(club), 'again', NULL)")
        let second = try window.charge("b")
        #expect(second.status == 200 && second.headers["idempotent-replayed"] == nil)
        #expect(try requestID(second) == "b")
        try window.audit("deleted and inserted again: two subscriptions, two orders", orders: 2)
    }

    /// A session that keeps PostgreSQL from writing the row of this subscription until it commits.
    private func locked(_ window: ChargeWindow) throws -> Connection {
        let session = try Connection(
            url: try #require(try broken.shop.status()["databases"]?["subscriptions"]?.string),
            application: "lock", deadline: .soon)
        try session.execute("BEGIN", deadline: .soon)
        try session.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('charge ' || \(window.subscription), 0))", deadline: .soon)
        return session
    }

    /// A session that keeps PostgreSQL in the middle of writing the row of a charge until it commits. A lock would not
    /// do: a statement gives up soon that waits for one, and without its function nobody sends it again.
    private func standingStill() throws -> Connection {
        let session = try Connection(url: broken.shop.databaseURL(), application: "still", deadline: .soon)
        try session.run(
            script: """
                CREATE OR REPLACE FUNCTION stand_still() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    WHILE NOT pg_try_advisory_xact_lock_shared(hashtextextended('stand still', 0)) LOOP
                        PERFORM pg_sleep(0.01);
                    END LOOP;
                    RETURN NEW;
                END $$;
                CREATE OR REPLACE TRIGGER stand_still BEFORE INSERT ON charge
                    FOR EACH ROW EXECUTE FUNCTION stand_still();
                """, deadline: .soon)
        try session.run(
            script: "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('stand still', 0))", deadline: .soon)
        return session
    }

    private func letRowsBeWritten() throws { try broken.sql("DROP TRIGGER IF EXISTS stand_still ON charge") }

    private func waitUntilCharging(waits event: String) throws {
        try Eventually.happens("begin_charge to wait") {
            try broken.sql(
                """
                SELECT count(*) FROM pg_stat_activity
                WHERE wait_event = \(event) AND application_name = 'charge'
                """)[0].decode(Int.self) > 0
        }
    }
}
