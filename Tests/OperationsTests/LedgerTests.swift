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
        database = Database(url: try PostgresServer.shared.migratedDatabase("subscriptions"), application: "test")
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
}
