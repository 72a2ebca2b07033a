import Migrations
import Operations
import Postgres
import Runtime
import TestSupport
import Testing

/// What operators see of a ledger, and what they may settle in it.
@Suite struct LedgerTests {
    let database: Database
    var records: ChargeRecords { ChargeRecords(database) }

    init() throws {
        let url = try PostgresServer.shared.freshDatabase()
        let connection = try PostgresServer.shared.connect(to: url)
        try Migrator(connection: connection, folder: .load(Repository.root + "/migrations/subscriptions")).upgrade()
        database = Database(url: url, application: "test")
    }

    /// A charge as the functions leave it, begun so long ago with a lease that ends so much later.
    @discardableResult
    func charge(
        _ subscription: String, period: String = "2026-11", state: String, ago: String = "10 minutes",
        lease: String = "20 seconds"
    ) throws -> Int {
        let isCharged = state == "charged"
        // What the charge says: one that is sending holds its subscription to it.
        try run("INSERT INTO club (id, store_sku) VALUES (1, 1) ON CONFLICT DO NOTHING")
        try run("INSERT INTO subscription VALUES (\(subscription), 1, 'c') ON CONFLICT DO NOTHING")
        let id = try run(
            """
            INSERT INTO charge (subscription_id, period, state, request_id, customer_id, sku_id, in_doubt, lease_until,
                                created_at, charged_at, platform_order)
            SELECT \(subscription), \(period), \(state)::text, \(subscription) || '-1', 'c', 1, \(state)::text = 'unknown',
                   clock_timestamp() - \(ago)::interval + \(lease)::interval, clock_timestamp() - \(ago)::interval,
                   CASE WHEN \(isCharged) THEN clock_timestamp() END, CASE WHEN \(isCharged) THEN '{"order_id":"o"}' END
            RETURNING id
            """)[0].decode(Int.self)
        try run(
            "INSERT INTO charge_event (charge_id, attempt, request_id, what) VALUES (\(id), 1, \(subscription) || '-1', 'begun')"
        )
        if state != "sending" {
            try run(
                """
                INSERT INTO charge_event (charge_id, attempt, request_id, what, platform_status, excerpt)
                VALUES (\(id), 1, \(subscription) || '-1', \(state), \(state == "declined" ? 402 : 500), E'out of\\tbeer')
                """)
        }
        return id
    }

    @discardableResult
    func run(_ sql: SQL) throws -> Rows { try database.execute(sql, deadline: .soon) }

    func history(_ id: String) throws -> ChargeRecords.History {
        let entry = try #require(try records.find(id).first)
        return try #require(try records.history(of: entry))
    }

    func list(
        period: String? = nil, state: ChargeRecords.State? = nil, olderThan: Int? = nil, limit: Int = 100
    ) throws -> [String] {
        try records.list(period: period, state: state, olderThan: olderThan, limit: limit).map(\.subscription)
    }

    @Test func listsByMonthStateAndAge() throws {
        try charge("old", period: "2026-10", state: "unknown", ago: "40 days")
        try charge("charged", state: "charged")
        try charge("running", state: "sending", ago: "1 second")
        try charge("died", state: "sending", ago: "2 hours")
        try charge("declined", state: "declined")
        #expect(try list() == ["declined", "died", "running", "charged", "old"])
        #expect(try list(limit: 2) == ["declined", "died"])
        #expect(try list(period: "2026-10") == ["old"])
        #expect(try list(state: .unknown) == ["died", "old"])
        #expect(try list(state: .sending) == ["running"])
        #expect(try list(state: .unknown, olderThan: 86_400) == ["old"])
        #expect(try list(olderThan: 3600) == ["died", "old"])
        #expect(try list(period: "2026-11", state: .charged, olderThan: 60) == ["charged"])
    }

    @Test func showsEveryAttempt() throws {
        let id = try charge("broken", state: "unknown")
        let entry = try #require(try records.find("\(id)").first)
        #expect(try records.find("broken").map(\.id) == [id])
        #expect(try records.find("nobody").isEmpty)
        let history = try #require(try records.history(of: entry))
        #expect(history.events.map(\.what) == ["begun", "unknown"])
        #expect(history.events.last?.platformStatus == 500)
        let text = ChargeText.history(history, isResent: true)
        #expect(text.contains("charge \(id): unknown") && text.contains("platform status 500: out of\u{FFFD}beer"))
        try run("TRUNCATE charge CASCADE")
        #expect(try records.history(of: entry) == nil)
    }

    @Test func showsSinceWhenItIsInDoubtAndWhatIsNext() throws {
        let died = try charge("died", state: "sending", ago: "2 hours")
        let text = ChargeText.history(try history("\(died)"), isResent: true)
        #expect(text.contains("\n  in doubt      since 20"))
        #expect(text.contains("\n  next          settle-charges sends it again from 20"))
        let manual = ChargeText.history(try history("\(died)"), isResent: false)
        #expect(manual.contains("\n  next          nothing is sent: taproom charges settle \(died) "))
        // Another charge has taken its request id.
        let heir = try charge("heir", state: "declined")
        try run("INSERT INTO charge_request (request_id, charge_id) VALUES ('died-1', \(heir))")
        #expect(try records.find("died")[0].settledFrom == nil)
        for state in ["charged", "declined"] {
            let entry = try records.find("\(try charge(state, state: state))")[0]
            #expect(entry.doubtSince == nil && entry.settledFrom == nil && entry.otherOrders.isEmpty)
        }
    }

    @Test("an order beside the one on the books is shown, whoever was wrong about it")
    func aSecondOrderIsShown() throws {
        let id = try charge("twice", state: "charged")
        try run(
            """
            INSERT INTO charge_event (charge_id, attempt, request_id, what, platform_status)
            VALUES (\(id), 1, 'twice-1', 'charged', 200), (\(id), 2, 'twice-2', 'charged', 200)
            """)
        let entry = try records.find("twice")[0]
        #expect(entry.otherOrders == ["twice-2"])
        #expect(ChargeText.history(try history("\(entry.id)"), isResent: true).contains("SECOND ORDER  twice-2: "))
        #expect(ChargeText.table([entry]).contains("charged (ordered twice)"))
    }

    @Test func noRequestIDSteersTheTerminal() throws {
        let id = try charge("steered", state: "charged")
        try run(
            """
            INSERT INTO charge_event (charge_id, attempt, request_id, what, platform_status)
            VALUES (\(id), 1, 'steered-1', 'charged', 200), (\(id), 2, E'x\\u001b', 'charged', 200)
            """)
        let text = ChargeText.history(try history("steered"), isResent: true)
        #expect(text.contains("SECOND ORDER  x\u{FFFD}: ") && !text.contains("\u{1B}"), "\(text)")
    }

    @Test func noIDSteersTheTerminalOfWhoSettles() throws {
        let id = "steered\u{1B}"
        try charge(id, state: "unknown")
        try charge(id, period: "2026-10", state: "unknown")
        let several = try #require(refusal(id, .notCharged))
        #expect(several.contains("(steered\u{FFFD}, 2026-10, ") && !several.contains("\u{1B}"), "\(several)")
        let other = #expect(throws: OperationError.self) {
            let charge = try records.find(id)[0].id
            _ = try settlement.settle("\(charge)", .notCharged, requestID: "other", who: "ann", why: "called")
        }
        let text = other?.description ?? ""
        #expect(text.contains("--request steered\u{FFFD}-1") && !text.contains("\u{1B}"), "\(text)")
    }

    @Test func theTableIsAligned() throws {
        try charge("a", state: "charged")
        try charge("a-longer-name", state: "sending", ago: "3 hours")
        try run("UPDATE charge SET retired_at = now() WHERE subscription_id = 'a'")
        let lines = ChargeText.table(try records.list(period: nil, state: nil, olderThan: nil, limit: 9))
            .split(separator: "\n")
        #expect(lines.count == 3)
        #expect(lines[0].hasPrefix("CHARGE  SUBSCRIPTION   PERIOD   STATE"))
        #expect(lines[1].contains("  a-longer-name  2026-11  unknown  "))
        #expect(lines[1].hasSuffix("  1         3h   -"))
        #expect(lines[2].contains("  charged (subscription deleted)  "))
    }

    @Test func theMonthIsThatOfTheBusinessTimeZone() throws {
        let (west, east) = try run(
            """
            SELECT billing_period('2026-10-31 23:30Z', 'UTC'), billing_period('2026-10-31 23:30Z', 'Europe/Berlin')
            """)[0].decode(String.self, String.self)
        #expect(west == "2026-10" && east == "2026-11")
        // Every instant is that one from here on.
        try run(
            """
            CREATE OR REPLACE FUNCTION billing_period(p_at timestamptz, p_zone text) RETURNS char(7) LANGUAGE sql STABLE
            RETURN to_char(timestamptz '2026-10-31 23:30Z' AT TIME ZONE p_zone, 'YYYY-MM')
            """)
        #expect(try records.currentPeriod(zone: "UTC") == west)
        #expect(try records.currentPeriod(zone: "Europe/Berlin") == east)
    }

    // MARK: Settling

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
        #expect(try records.requestIDsOfDeleted(period: "2026-11") == ["a-1", "a-2"])
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
