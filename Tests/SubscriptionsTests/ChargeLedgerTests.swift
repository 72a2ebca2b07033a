import Migrations
import Postgres
import Runtime
import Subscriptions
import TestSupport
import Testing

@testable import Charging

/// The ledger at the instants at which a process may die or come late.
@Suite struct ChargeLedgerTests: ChargeSuite {
    let setup: ChargeSetup

    init() throws { setup = try ChargeSetup() }

    @Test("killed after the row is committed: nobody else sends until the lease ends, then the same id is sent")
    func diedBeforeTheCall() throws {
        let first = try attempt("r-1")
        guard case .inProgress(isRunning: true) = try begin("r-2") else { throw UnexpectedBeginning() }
        try letTimePass()
        // The payload is the first one as well: a platform compares it.
        try shop.run("UPDATE club SET store_sku = 99")
        let second = try attempt("r-2")
        #expect(second.requestID == "r-1" && second.sku == 700 && second.number == first.number + 1)
        #expect(try shop.count("SELECT count(*) FROM charge") == 1)
        #expect(try shop.count("SELECT count(*) FROM charge_request WHERE request_id = 'r-2'") == 0)
    }

    @Test func anOutcomeThatComesAfterTheTimeLimitIsRecorded() throws {
        let late = Deadline.after(milliseconds: 0)
        let (_, standing) = try desk.send(
            try attempt("r-1"), .test(milliseconds: 0), deadline: late, timeLimitMilliseconds: 0)
        #expect(standing.receipt == nil && !standing.isInDoubt, "nothing was sent")
        #expect(try shop.run("SELECT state FROM charge")[0].decode(String.self) == "released")
    }

    @Test func theOutcomeOfASupersededAttemptCountsOnlyWhenItIsACharge() throws {
        let first = try attempt("r-1")
        try letTimePass()
        let second = try attempt("r-1")
        let superseded = try ledger.finish(first, .declined(status: 402, body: ""), cause: .test, deadline: .soon)
        #expect(superseded.receipt == nil && superseded.isInDoubt, "the other attempt is being sent")
        guard case .inProgress(isRunning: true) = try begin("r-1") else { throw UnexpectedBeginning() }
        let late = try ledger.finish(first, .charged(status: 200, order: #"{"n":1}"#), cause: .test, deadline: .soon)
            .receipt
        #expect(late?.order == #"{"n":1}"#)
        let again = try ledger.finish(second, .charged(status: 200, order: #"{"n":2}"#), cause: .test, deadline: .soon)
            .receipt
        #expect(again == late, "the first record stays")
    }

    @Test("an outcome that waits while the next attempt begins does not end that one")
    func overtakenByTheNextAttempt() throws {
        let first = try attempt("r-1")
        let standing = try shop.beside(
            "UPDATE charge SET attempt = 2, in_doubt = true", waiting: "finish_charges"
        ) { [ledger] in
            try ledger.finish(first, .declined(status: 402, body: ""), cause: .test, deadline: .soon)
        }
        #expect(standing.isInDoubt && standing.receipt == nil)
        #expect(try charge(of: subscription) == ("sending", 2, "r-1"))
    }

    @Test func recordingTwiceChangesNothing() throws {
        let made = try attempt("r-1")
        let first = try ledger.finish(made, .charged(status: 200, order: "{}"), cause: .test, deadline: .soon).receipt
        let second = try ledger.finish(made, .charged(status: 200, order: "{}"), cause: .test, deadline: .soon).receipt
        #expect(first != nil && first == second)
    }

    @Test("last month's doubt is settled by its own request id, and does not stand in this month's way")
    func doubtOfLastMonth() throws {
        let first = try attempt("old")
        _ = try ledger.finish(first, .unanswered(reason: "time-out"), cause: .test, deadline: .soon)
        try shop.run("UPDATE charge SET period = '2001-01'")
        let current = try attempt("new")
        #expect(current.requestID == "new" && current.period != "2001-01")
        let settled = try attempt("old")
        #expect(settled.period == "2001-01" && settled.requestID == "old")
        #expect(
            try ledger.finish(settled, .charged(status: 200, order: "1"), cause: .test, deadline: .soon).receipt?.period
                == "2001-01")
        #expect(
            try ledger.finish(current, .charged(status: 200, order: "2"), cause: .test, deadline: .soon).receipt?.period
                == current.period)
    }

    @Test func aDuplicateOfASettlingIsNotToldAboutThisMonth() throws {
        _ = try ledger.finish(try attempt("old"), .unanswered(reason: "time-out"), cause: .test, deadline: .soon)
        try shop.run("UPDATE charge SET period = '2001-01'")
        _ = try attempt("old")
        let refusal = problem { try charge("old") }
        #expect(refusal?.slug == "charge-in-progress" && refusal?.detail.contains("this month") == false)
    }

    @Test func whatRetiredChargesHadKeptIsGivenBackByTheUpgrade() throws {
        try shop.migrator().downgrade(to: "91d4c7b0e35a")
        _ = try attempt("r-1")
        try shop.run("UPDATE charge SET retired_at = clock_timestamp()")
        _ = try attempt("r-2")
        try shop.migrator().upgrade()
        let kept = try shop.run("SELECT request_id FROM charge_request").map { try $0.decode(String.self) }
        #expect(kept == ["r-2"])
    }

    @Test func whatEndsADoubtGoesDownToWhatItWas() throws {
        func text() throws -> String {
            try shop.run("SELECT prosrc FROM pg_proc WHERE proname = 'finish_charge'")[0].decode(String.self)
        }
        let now = try text()
        try shop.migrator().downgrade(to: "78da82a6e293")
        let before = try text()
        try shop.migrator().downgrade(to: "c7e4a90d5b62")
        try shop.migrator().upgrade(to: "78da82a6e293")
        #expect(try text() == before && before != now)
        try shop.migrator().upgrade()
        #expect(try text() == now)
    }

    @Test("a server that confirms commits before they are on disk does so for other tables only")
    func commitsAreDurable() throws {
        let session = try shop.session()
        try session.execute("SET synchronous_commit = off", deadline: .soon)
        try session.execute("BEGIN", deadline: .soon)
        try session.execute("SELECT begin_charge(\(subscription), 'r-1', 'UTC', 60000, false)", deadline: .soon)
        #expect(try synchrony(session) == "on")
        try session.execute("COMMIT", deadline: .soon)
        #expect(try synchrony(session) == "off")
        try session.execute("BEGIN", deadline: .soon)
        try session.execute(
            """
            SELECT finish_charge(id, attempt, request_id, 'charged', 200, '{}', '')
            FROM charge WHERE subscription_id = \(subscription)
            """, deadline: .soon)
        #expect(try synchrony(session) == "on")
        try session.execute("ROLLBACK", deadline: .soon)
    }

    private func synchrony(_ session: Connection) throws -> String {
        try session.execute("SHOW synchronous_commit", deadline: .soon)[0].decode(String.self)
    }

    @Test("in doubt, and not chargeable meanwhile: the refusal does not say that nothing was charged")
    func doubtOfAPausedSubscription() throws {
        _ = try ledger.finish(try attempt("r-1"), .unanswered(reason: "time-out"), cause: .test, deadline: .soon)
        try shop.history(subscription, StatusID.paused, effect: "0 seconds")
        let refusal = problem { _ = try begin("r-2") }
        #expect(refusal?.slug == "not-chargeable" && refusal?.extensions["outcome"] == "unknown")
        #expect(refusal?.detail.contains("outcome is unknown") == true)
        #expect(refusal?.detail.contains("Nothing was charged") == false)
    }

    @Test func theRecordOfEventsCannotBeChanged() throws {
        _ = try ledger.finish(
            try attempt("r-1"), .declined(status: 402, body: "no\u{0}pe"), cause: .test, deadline: .soon)
        let events = try shop.run("SELECT what, platform_status, excerpt FROM charge_event ORDER BY id").map {
            try $0.decode(String.self, Int?.self, String?.self)
        }
        #expect(events.map(\.0) == ["begun", "declined"])
        #expect(events.last?.1 == 402 && events.last?.2 == "nope")
        #expect(throws: PostgresError.self) { try shop.run("UPDATE charge_event SET what = 'charged'") }
        try shop.run("DELETE FROM charge_event")
    }
}
