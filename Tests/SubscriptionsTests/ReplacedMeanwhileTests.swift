import Postgres
import Runtime
import Subscriptions
import TestSupport
import Testing

@testable import Charging

/// Rows that an outsider takes away and puts back in one transaction: they are there before it and after it.
@Suite struct ReplacedMeanwhileTests: ChargeSuite {
    let setup: ChargeSetup

    init() throws { setup = try ChargeSetup(customer: "one") }

    /// Truncates a table and puts its rows back.
    private func reload(_ table: String) -> String {
        "CREATE TEMPORARY TABLE kept AS TABLE \(table); TRUNCATE \(table); INSERT INTO \(table) TABLE kept"
    }

    /// Puts a row in the place of another one with the same id.
    private func replace(_ table: String, _ id: String, with columns: String = "") -> String {
        """
        CREATE TEMPORARY TABLE kept_\(table) AS SELECT * FROM \(table) WHERE id::text = '\(id)';
        CREATE TEMPORARY TABLE kept_\(table)_history AS SELECT * FROM \(table)_status_history WHERE \(table)_id::text = '\(id)';
        DELETE FROM \(table)_status_history WHERE \(table)_id::text = '\(id)';
        DELETE FROM \(table) WHERE id::text = '\(id)';
        \(columns.isEmpty ? "" : "UPDATE kept_\(table) SET \(columns);")
        INSERT INTO \(table) TABLE kept_\(table);
        INSERT INTO \(table)_status_history TABLE kept_\(table)_history
        """
    }

    private func decline(_ request: String, of id: String? = nil) throws {
        _ = try ledger.finish(
            try attempt(request, of: id), .declined(status: 402, body: ""), cause: .test, deadline: .soon)
    }

    // MARK: Charging

    @Test("whose history is loaded again is not charged while it is gone", arguments: ["subscription", "club"])
    func aHistoryIsLoadedAgain(of table: String) throws {
        if table == "club" {
            try shop.clubHistory(Int(club), 3, effect: "-1 hour")
        } else {
            try shop.history(subscription, StatusID.cancelled, effect: "-1 hour")
        }
        let refusal = try shop.beside(reload("\(table)_status_history")) { [self] in
            problem { _ = try begin("r-1") }?.slug
        }
        #expect(refusal == "not-chargeable")
    }

    @Test("inserted again with another customer and club while its next attempt begins: the new one is charged")
    func insertedAgainAfterADecline() throws {
        try decline("r-1")
        let other = try shop.club(sku: 2)
        let replacement = replace("subscription", subscription, with: "customer_store_id = 'two', club_id = \(other)")
        let new = try shop.beside(replacement) { [self] in try attempt("r-2") }
        #expect(new.customer == "two" && new.sku == 2)
    }

    @Test("inserted again between the look and the row", arguments: ["customer_store_id = 'two'", "club_id = 2"])
    func insertedAgainBeforeTheRow(_ change: String) throws {
        #expect(try shop.club(sku: 2) == 2)
        // Charges can be read and locked, and not written.
        let outsider = try shop.session()
        try outsider.run(script: "BEGIN; LOCK TABLE charge IN SHARE MODE", deadline: .soon)
        let work = Background { [self] in try attempt("r-1") }
        try Eventually.happens("the charge to wait") { try shop.isHeldUp("begin_charges") }
        try outsider.run(script: "\(replace("subscription", subscription, with: change)); COMMIT", deadline: .soon)
        let new = try work.value()
        #expect("\(new.customer) \(new.sku)" == (change == "club_id = 2" ? "one 2" : "two 700"))
    }

    @Test("renamed with a new one in its place while its next attempt begins: each has its own charge")
    func renamedAndInserted() throws {
        try decline("r-1")
        let replacement = """
            UPDATE subscription_status_history SET subscription_id = NULL;
            UPDATE subscription SET id = 'renamed'; UPDATE subscription_status_history SET subscription_id = 'renamed';
            INSERT INTO subscription VALUES ('\(subscription)', \(club), 'two')
            """
        let new = try shop.beside(replacement) { [self] in try attempt("r-2") }
        #expect(new.customer == "two")
        #expect(try attempt("r-3", of: "renamed").customer == "one")
        #expect(try shop.count("SELECT count(*) FROM charge") == 2)
    }

    @Test("a request id that went with the renamed one is not sent for the new one")
    func theRequestIDGoesWithTheRenamed() throws {
        try decline("r-1")
        let replacement = """
            UPDATE subscription_status_history SET subscription_id = NULL;
            UPDATE subscription SET id = 'renamed'; INSERT INTO subscription VALUES ('\(subscription)', \(club), 'two')
            """
        let refusal = try shop.beside(replacement) { [self] in problem { _ = try begin("r-1") }?.slug }
        #expect(refusal == "request-id-reused")
    }

    @Test("its id is handed to one that is charged: that one's receipt", arguments: [false, true])
    func handedOn(afterADecline: Bool) throws {
        let other = try shop.subscription(club: club, customer: "one", history: [])
        let made = try attempt("r-1", of: other)
        _ = try ledger.finish(made, .charged(status: 200, order: "{}"), cause: .test, deadline: .soon)
        let handOn = """
            DELETE FROM subscription_status_history; DELETE FROM subscription WHERE id = '\(subscription)';
            UPDATE subscription SET id = '\(subscription)' WHERE id = '\(other)'
            """
        let beginning: ChargeLedger.Beginning
        if afterADecline {
            try decline("r-2")
            beginning = try shop.beside(handOn) { [self] in try begin("r-3") }
        } else {
            let outsider = try shop.session()
            try outsider.run(script: "BEGIN; LOCK TABLE charge IN SHARE MODE", deadline: .soon)
            let work = Background { [self] in try begin("r-3") }
            try Eventually.happens("the charge to wait") { try shop.isHeldUp("begin_charges") }
            try outsider.run(script: "\(handOn); COMMIT", deadline: .soon)
            beginning = try work.value()
        }
        guard case .alreadyCharged(let receipt) = beginning else { throw UnexpectedBeginning() }
        #expect(receipt.requestID == "r-1")
    }

    // MARK: Cleared while an order is out

    private static let clear =
        "TRUNCATE subscription, subscription_status_history, charge, charge_request, charge_event, outbox RESTART IDENTITY CASCADE"

    @Test func anAttemptIsNotRecordedOnTheChargeOfAnotherSubscription() throws {
        let old = try attempt("r-1")
        try shop.session().run(script: Self.clear, deadline: .soon)
        let other = try shop.subscription(club: club, history: [])
        let new = try attempt("r-2", of: other)
        #expect(new.charge != old.charge)
        #expect(throws: PostgresError.self) {
            try ledger.finish(old, .charged(status: 200, order: "{}"), cause: .test, deadline: .soon)
        }
        let states = try shop.run("SELECT state FROM charge").map { try $0.decode(String.self) }
        #expect(states == ["sending"])
    }

    @Test("a backup is restored while an order is out: its charge's number is another's now")
    func restored() throws {
        let old = try attempt("r-1")
        try shop.session().run(script: Self.clear, deadline: .soon)
        try shop.run("SELECT setval('charge_number', \(old.charge), false)")
        let other = try shop.subscription(club: club, history: [])
        let new = try attempt("r-2", of: other)
        #expect(new.charge == old.charge && new.number == old.number)
        let refusal = #expect(throws: PostgresError.self) {
            try ledger.finish(old, .charged(status: 200, order: "{}"), cause: .test, deadline: .soon)
        }
        #expect(refusal?.constraint == "charge_event_charge_id_fkey", "told as a charge that is gone")
        #expect(try shop.count("SELECT count(*) FROM charge WHERE state = 'sending' AND request_id = 'r-2'") == 1)
    }

    @Test("a backup is restored while an order is out: the charge is the same, and had not come to its request id")
    func restoredBeforeTheAttempt() throws {
        try decline("r-1")
        let attempt = try attempt("r-2")
        try shop.run("DELETE FROM charge_event WHERE request_id = 'r-2'")
        try shop.run("DELETE FROM charge_request WHERE request_id = 'r-2'")
        try shop.run("UPDATE charge SET state = 'declined', request_id = 'r-1', attempt = 1")
        // It takes the number of the one that is lost, whose refusal is none of its own.
        #expect(try self.attempt("r-3").number == attempt.number)
        for verdict in [Verdict.unanswered(reason: "silence"), .declined(status: 402, body: "")] {
            let refusal = #expect(throws: PostgresError.self) {
                try ledger.finish(attempt, verdict, cause: .test, deadline: .soon)
            }
            #expect(refusal?.constraint == "charge_event_charge_id_fkey", "\(verdict)")
        }
        #expect(try shop.count("SELECT count(*) FROM charge WHERE state = 'sending' AND request_id = 'r-3'") == 1)
        let standing = try ledger.finish(
            attempt, .charged(status: 200, order: "{}"), cause: .test, deadline: .soon)
        #expect(standing.receipt?.requestID == "r-2")
        #expect(try shop.count("SELECT count(*) FROM charge WHERE state = 'charged' AND request_id = 'r-2'") == 1)
    }

    @Test func anAttemptWhoseRecordIsGoneSaysSo() throws {
        let gate = Gate()
        platform.behave { _ in .holdAfterActing(gate) }
        let work = Background { [self] in problem { try charge("r-1") } }
        try platform.waitForRequests(1)
        try shop.session().run(script: Self.clear, deadline: .soon)
        let log = try StandardError.captured {
            gate.open()
            let refusal = try #require(try work.value())
            #expect(refusal.slug == "charge-outcome-unknown")
            #expect(refusal.detail.contains("removed"), "\(refusal)")
        }
        #expect(log.contains("was removed while its order r-1 was out; what came of it: charged"))
        #expect(log.contains("order-of-r-1"))
    }

    // MARK: Reading and changing

    final class Collector: BodyWriter {
        var text: [UInt8] = []
        func write(_ piece: UnsafeRawBufferPointer) { text.append(contentsOf: piece) }
    }

    @Test(
        "whoever is eligible is so while a table is loaded again",
        arguments: ["club_status_history", "subscription_status_history"], [false, true])
    func eligible(table: String, inPages: Bool) throws {
        let seen = try shop.beside(reload(table)) { [shop] in
            if inPages { return try shop.eligibility.page(after: nil, limit: 10, deadline: .soon).joined() }
            let collector = Collector()
            try shop.eligibility.writeAll(to: collector, deadline: .soon)
            return String(decoding: collector.text, as: UTF8.self)
        }
        #expect(seen == (inPages ? subscription : "[\"\(subscription)\"]"))
    }

    @Test func whoHoldsATableForLongGivesA503() throws {
        let outsider = try shop.session()
        try outsider.run(script: "BEGIN; LOCK TABLE club IN ACCESS EXCLUSIVE MODE", deadline: .soon)
        for inPages in [false, true] {
            let refusal = problem {
                if inPages {
                    _ = try shop.eligibility.page(after: nil, limit: 10, deadline: .after(milliseconds: 300))
                } else {
                    try shop.eligibility.writeAll(to: Collector(), deadline: .after(milliseconds: 300))
                }
            }
            #expect(refusal?.status == 503)
        }
    }

    @Test func aSubscriptionIsInsertedAgainWhileItsStatusChanges() throws {
        _ = try shop.beside(replace("subscription", subscription)) { [shop, subscription] in
            try shop.store.changeStatus(
                of: subscription, to: StatusID.paused, effectDate: nil, returnAfterDays: nil, details: nil,
                cause: .test, deadline: .soon)
        }
        #expect(try shop.status(of: subscription) == StatusID.paused)
    }

    @Test func aClubIsInsertedAgainWhileSomebodySubscribes() throws {
        let club = try shop.club()
        let subscribed = try shop.beside(replace("club", String(club))) { [shop] in
            try shop.store.subscribe(customer: "two", toClub: club, cause: .test, deadline: .soon)
        }
        #expect(try shop.eligible() == [subscription, subscribed.id])
    }
}
