import Operations
import Postgres
import Runtime
import TestSupport
import Testing

/// What an operator's word does to a ledger, and what stays open for one.
extension LedgerTests {
    var settlement: ChargeSettlement { ChargeSettlement(database) }

    func refusal(_ id: String, _ outcome: ChargeSettlement.Outcome, who: String = "ann", why: String = "called")
        -> String?
    {
        do {
            _ = try settlement.settle(id, outcome, who: who, why: why)
            return nil
        } catch { return "\(error)" }
    }

    @Test(
        "an order is kept as it is given, or as a JSON string",
        arguments: [(#"{"id":7}"#, #"{"id":7}"#), ("A-7", #""A-7""#)])
    func settledAsCharged(given: String, kept: String) throws {
        let id = try charge("broken", state: "unknown")
        #expect(refusal("broken", .charged(order: given)) == nil)
        let history = try history("\(id)")
        #expect(history.charge.state == .charged && history.order == kept)
        #expect(history.settlements.map(\.who) == ["ann"] && history.settlements.map(\.why) == ["called"])
        #expect(ChargeText.history(history, isResent: true).contains("charged, order \(kept), by ann: called"))
    }

    @Test func whatASettlementOpensIsNoDecline() throws {
        try charge("declined", state: "declined")
        let broken = try charge("broken", state: "unknown")
        #expect(refusal("\(broken)", .notCharged) == nil)
        #expect(try records.declined(period: "2026-11") == [Array("declined".utf8)])
        func shown(_ id: String) throws -> String {
            ChargeText.history(try history(id), isResent: true)
        }
        #expect(try shown("broken").hasPrefix("charge \(broken): declined, by an operator's word\n"))
        #expect(try shown("declined").contains(": declined\n"))
        #expect(try records.declined(period: "2026-10").isEmpty)
    }

    @Test func oneWhoseIDIsOnlyCanonicallyEquivalentIsNotTheDeclinedOne() throws {
        try charge("\u{E9}", state: "declined")
        let declined = try records.declined(period: "2026-11")
        #expect(declined == [Array("\u{E9}".utf8)])
    }

    @Test(
        "a decline is final for the month when the platform's last word was 402", arguments: [400, 404, 409, 410, 422])
    func declinedForGood(status: Int) throws {
        for (name, answers) in [("a", [status]), ("b", [status, 402])] {
            let id = try charge(name, state: "declined")
            for (index, answer) in answers.enumerated() {
                try run(
                    """
                    INSERT INTO charge_event (charge_id, attempt, request_id, what, platform_status)
                    VALUES (\(id), \(index + 2), 'r', 'begun', NULL), (\(id), \(index + 2), 'r', 'declined', \(answer))
                    """)
            }
        }
        #expect(try records.declined(period: "2026-11") == [Array("b".utf8)])
    }

    @Test func whoseSubscriptionIsDeletedIsNotDeclined() throws {
        try charge("a", state: "declined")
        try run("UPDATE charge SET retired_at = clock_timestamp()")
        #expect(try records.declined(period: "2026-11").isEmpty)
    }

    @Test("a platform answers each id that was sent for a deleted subscription with what came of it then")
    func requestIDsOfTheDeleted() throws {
        for name in ["a", "there"] {
            let id = try charge(name, state: "declined")
            try run("UPDATE charge SET request_id = \(name) || '-2', attempt = 2 WHERE id = \(id)")
        }
        try charge("old", period: "2026-10", state: "charged")
        try run("DELETE FROM subscription WHERE id IN ('a', 'old')")
        #expect(try records.usedRequestIDs(period: "2026-11").subtracting(["there-1"]) == ["a-1", "a-2"])
    }

    @Test("a platform may remember that it declined a request id; of other refusals nothing is known to last")
    func requestIDsOfTheDeclined() throws {
        try charge("declined", state: "declined")
        try charge("charged-later", state: "declined")
        try run(
            """
            UPDATE charge SET state = 'charged', charged_at = clock_timestamp(), platform_order = '1'
            WHERE subscription_id = 'charged-later'
            """)
        try charge("old", period: "2026-10", state: "declined")
        for state in ["released", "unknown"] { try charge(state, state: state) }
        #expect(try records.usedRequestIDs(period: "2026-11") == ["declined-1"])
    }

    @Test func refusalsSayWhy() throws {
        let charged = try charge("charged", state: "charged")
        try charge("running", state: "sending", ago: "1 second", lease: "1 hour")
        try charge("declined", state: "declined")
        try charge("broken", state: "unknown")
        #expect(refusal("nobody", .notCharged)?.contains("has the id “nobody”") == true)
        #expect(refusal("charged", .notCharged)?.contains("charged already") == true)
        #expect(refusal("running", .notCharged)?.contains("an attempt runs") == true)
        #expect(refusal("declined", .notCharged)?.contains("nothing to settle") == true)
        #expect(refusal("broken", .notCharged, who: " ")?.contains("--who") == true)
        #expect(refusal("broken", .notCharged, why: "")?.contains("--why") == true)
        // A subscription whose id is the number of another's charge.
        try charge("\(charged)", state: "unknown")
        #expect(refusal("\(charged)", .notCharged)?.contains("several charges") == true)
        #expect(refusal("charge:\(charged)", .notCharged)?.contains("charged already") == true)
    }

    /// Whether a session of this database waits for another.
    func waitsForALock() throws -> Bool {
        try run(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'
            """)[0].decode(Int.self) == 1
    }

    @Test("a charge that gets another request id while it is settled is left alone")
    func anotherRequestIDMeanwhile() throws {
        let id = try charge("broken", state: "unknown")
        let settling = try database.withConnection(deadline: .soon) { other in
            try other.transaction(deadline: .soon) { other in
                try other.execute("UPDATE charge SET request_id = 'B' WHERE id = \(id)", deadline: .soon)
                let settling = Background { refusal("broken", .notCharged) }
                try Eventually.happens("the wait for the row") { try waitsForALock() }
                return settling
            }
        }
        #expect(try settling.value()?.contains("its request id is B") == true)
        #expect(try records.find("broken")[0].state == .unknown)
    }

    @Test("whoever truncates subscriptions while a charge is settled is not ended")
    func truncatedMeanwhile() throws {
        try charge("broken", state: "unknown")
        let settling = try database.withConnection(deadline: .soon) { outsider in
            try outsider.transaction(deadline: .soon) { outsider in
                // The first to look for a deadlock, if there is one.
                try outsider.run(
                    script: "SET LOCAL deadlock_timeout = '1ms'; LOCK TABLE subscription IN ACCESS EXCLUSIVE MODE",
                    deadline: .soon)
                let settling = Background { refusal("broken", .charged(order: "A-1")) }
                try Eventually.happens("the wait for the table") { try waitsForALock() }
                try outsider.execute("TRUNCATE subscription, subscription_status_history", deadline: .soon)
                return settling
            }
        }
        #expect(try settling.value() == nil)
        #expect(try records.find("broken").map(\.state) == [.charged])
    }

    @Test func aSubscriptionStandsForItsOnlyDoubt() throws {
        try charge("many", period: "2026-09", state: "charged")
        let doubt = try charge("many", period: "2026-10", state: "unknown")
        #expect(refusal("many", .charged(order: "A-1")) == nil)
        #expect(try records.find("\(doubt)")[0].state == .charged)
        try charge("many", period: "2026-11", state: "unknown")
        try charge("many", period: "2026-08", state: "unknown")
        #expect(refusal("many", .notCharged)?.contains("several charges") == true)
    }
}
