import Charging
import Postgres
import Runtime
import Subscriptions
import TestSupport
import Testing

/// The ledger at the instants at which a process may die or come late.
@Suite struct ChargeLedgerTests {
    let shop: Shop
    let platform: ScriptedPlatform
    let ledger: ChargeLedger
    let club: Int32
    let subscription: String

    init() throws {
        shop = try Shop()
        platform = try ScriptedPlatform()
        ledger = ChargeLedger(shop.database, zone: "UTC")
        club = try shop.club(sku: 1)
        subscription = try shop.subscription(club: club, history: [(1, "-1 day")])
    }

    var soon: Deadline { .after(milliseconds: 20_000) }

    func begin(_ request: String, lease: Int = 60_000) throws -> ChargeLedger.Beginning {
        try ledger.begin(
            subscription: subscription, request: request, leaseMilliseconds: lease, onlyWatch: false, deadline: soon)
    }

    func attempt(_ request: String) throws -> ChargeLedger.Attempt {
        guard case .begun(let attempt) = try begin(request) else { throw Unexpected() }
        return attempt
    }

    struct Unexpected: Error {}

    /// What the passing of time does to the lease of an attempt that died.
    func expireLease() throws {
        try shop.run("UPDATE charge SET lease_until = clock_timestamp() - interval '1 second'")
    }

    @Test("killed after the row is committed: nobody else sends until the lease ends, then the same id is sent")
    func diedBeforeTheCall() throws {
        let first = try attempt("r-1")
        guard case .inProgress(isRunning: true) = try begin("r-2") else { throw Unexpected() }
        try expireLease()
        // The payload is the first one as well: a platform compares it.
        try shop.run("UPDATE club SET store_sku = 99")
        let second = try attempt("r-2")
        #expect(second.requestID == "r-1" && second.sku == 1 && second.number == first.number + 1)
        #expect(try shop.count("SELECT count(*) FROM charge") == 1)
        #expect(try shop.count("SELECT count(*) FROM charge_request WHERE request_id = 'r-2'") == 0)
    }

    @Test func theOutcomeOfASupersededAttemptCountsOnlyWhenItIsACharge() throws {
        let first = try attempt("r-1")
        try expireLease()
        let second = try attempt("r-1")
        #expect(try ledger.finish(first, .declined(status: 402, body: ""), deadline: soon).receipt == nil)
        guard case .inProgress(isRunning: true) = try begin("r-1") else { throw Unexpected() }
        let late = try ledger.finish(first, .charged(status: 200, order: #"{"n":1}"#), deadline: soon).receipt
        #expect(late?.order == #"{"n":1}"#)
        let again = try ledger.finish(second, .charged(status: 200, order: #"{"n":2}"#), deadline: soon).receipt
        #expect(again == late, "the first record stays")
    }

    @Test func recordingTwiceChangesNothing() throws {
        let made = try attempt("r-1")
        let first = try ledger.finish(made, .charged(status: 200, order: "{}"), deadline: soon).receipt
        let second = try ledger.finish(made, .charged(status: 200, order: "{}"), deadline: soon).receipt
        #expect(first != nil && first == second)
    }

    @Test("last month's doubt is settled by its own request id, and does not stand in this month's way")
    func doubtOfLastMonth() throws {
        let first = try attempt("old")
        _ = try ledger.finish(first, .unanswered(reason: "time-out"), deadline: soon)
        try shop.run("UPDATE charge SET period = '2001-01'")
        let current = try attempt("new")
        #expect(current.requestID == "new" && current.period != "2001-01")
        let settled = try attempt("old")
        #expect(settled.period == "2001-01" && settled.requestID == "old")
        #expect(
            try ledger.finish(settled, .charged(status: 200, order: "1"), deadline: soon).receipt?.period == "2001-01")
        #expect(
            try ledger.finish(current, .charged(status: 200, order: "2"), deadline: soon).receipt?.period
                == current.period)
    }

    @Test("paused between the first look and the row: the statement that writes it looks again")
    func pausedMeanwhile() throws {
        _ = try ledger.finish(try attempt("r-1"), .declined(status: 402, body: ""), deadline: soon)
        try shop.history(subscription, StatusID.paused, effect: "0 seconds")
        #expect(problem { _ = try begin("r-2") }?.slug == "not-chargeable")
    }

    @Test func theRecordOfEventsCannotBeChanged() throws {
        _ = try ledger.finish(try attempt("r-1"), .declined(status: 402, body: "no\u{0}pe"), deadline: soon)
        let events = try shop.run("SELECT what, platform_status, excerpt FROM charge_event ORDER BY id").map {
            try $0.decode(String.self, Int?.self, String?.self)
        }
        #expect(events.map(\.0) == ["begun", "declined"])
        #expect(events.last?.1 == 402 && events.last?.2 == "nope")
        #expect(throws: PostgresError.self) { try shop.run("UPDATE charge_event SET what = 'charged'") }
        #expect(throws: PostgresError.self) { try shop.run("DELETE FROM charge_event") }
    }
}
