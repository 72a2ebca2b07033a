import Postgres
import Runtime
import Subscriptions
import TestSupport
import Testing

@testable import Charging

/// What outsiders do to subscriptions while the ledger writes.
extension ChargeLedgerTests {
    @Test("paused between the first look and the row: the statement that writes it looks again")
    func pausedMeanwhile() throws {
        _ = try ledger.finish(try attempt("r-1"), .declined(status: 402, body: ""), cause: .test, deadline: .soon)
        try shop.history(subscription, StatusID.paused, effect: "0 seconds")
        #expect(problem { _ = try begin("r-2") }?.slug == "not-chargeable")
    }

    @Test("deleted while the row is written: the charge is retired with its subscription, however they overlap")
    func deletedMeanwhile() throws {
        let deleter = try shop.session()
        let charger = try shop.session()
        // The row is there and not committed when the subscription goes.
        try charger.execute("BEGIN", deadline: .soon)
        try charger.execute("SELECT begin_charge(\(subscription), 'r-1', 'UTC', 60000, false)", deadline: .soon)
        let deletion = Background { [shop, subscription] in
            try shop.run("DELETE FROM subscription_status_history WHERE subscription_id = \(subscription)")
            try shop.run("DELETE FROM subscription WHERE id = \(subscription)")
        }
        try Eventually.happens("the deletion to wait or to end") {
            try isSomebodyWaiting() || shop.count("SELECT count(*) FROM subscription") == 0
        }
        try charger.execute("COMMIT", deadline: .soon)
        _ = try deletion.value()
        #expect(try shop.count("SELECT count(*) FROM charge WHERE retired_at IS NULL") == 0)

        // The subscription goes, uncommitted, when the row is to be written.
        let other = try shop.subscription(club: club, history: [])
        try deleter.execute("BEGIN", deadline: .soon)
        try deleter.execute("DELETE FROM subscription WHERE id = \(other)", deadline: .soon)
        let late = Background { [self] in problem { _ = try begin("r-2", of: other) } }
        try Eventually.happens("the charge to wait or to end") {
            try isSomebodyWaiting() || shop.count("SELECT count(*) FROM charge WHERE subscription_id = \(other)") > 0
        }
        try deleter.execute("COMMIT", deadline: .soon)
        let refusal = try late.value()
        // It met the deletion under way, or asked once more when it was over.
        #expect(
            refusal?.slug == "subscription-not-found"
                || refusal?.status == 503 && refusal?.extensions["executed"] == "no",
            "\(String(describing: refusal))")
        #expect(try shop.count("SELECT count(*) FROM charge WHERE retired_at IS NULL") == 0)
        #expect(
            problem { _ = try begin("r-3") }?.slug == "subscription-not-found", "and then it is known to be gone")
    }

    @Test("deleted while the next attempt begins: its request id is given back as well")
    func deletedWhileTriedAgain() throws {
        _ = try ledger.finish(try attempt("r-1"), .declined(status: 402, body: ""), cause: .test, deadline: .soon)
        let charger = try shop.session()
        try charger.execute("BEGIN", deadline: .soon)
        try charger.execute("SELECT begin_charge(\(subscription), 'r-2', 'UTC', 60000, false)", deadline: .soon)
        let deletion = Background { [shop, subscription] in
            try shop.run("DELETE FROM subscription_status_history WHERE subscription_id = \(subscription)")
            try shop.run("DELETE FROM subscription WHERE id = \(subscription)")
        }
        try Eventually.happens("the deletion to wait") { try isSomebodyWaiting() }
        try charger.execute("COMMIT", deadline: .soon)
        _ = try deletion.value()
        #expect(try shop.count("SELECT count(*) FROM charge WHERE retired_at IS NULL") == 0)
        #expect(try shop.count("SELECT count(*) FROM charge_request") == 0)
    }

    @Test("renamed while it is charged: the charge follows, and its outcome is recorded")
    func renamedMeanwhile() throws {
        let made = try attempt("r-1")
        try shop.run(rename(subscription, to: "renamed"))
        guard case .inProgress(isRunning: true) = try begin("r-2", of: "renamed") else { throw UnexpectedBeginning() }
        let receipt = try ledger.finish(made, .charged(status: 200, order: "{}"), cause: .test, deadline: .soon).receipt
        guard case .alreadyCharged(let same) = try begin("r-2", of: "renamed") else { throw UnexpectedBeginning() }
        #expect(same.requestID == "r-1" && same.chargedAt == receipt?.chargedAt)

        // The row is there and not committed when the subscription gets another id.
        let other = try shop.subscription(club: club, history: [])
        let charger = try shop.session()
        try charger.execute("BEGIN", deadline: .soon)
        try charger.execute("SELECT begin_charge(\(other), 'r-3', 'UTC', 60000, false)", deadline: .soon)
        let renaming = Background { [self] in _ = try shop.run(rename(other, to: "other")) }
        try Eventually.happens("the renaming to wait") { try isSomebodyWaiting() }
        try charger.execute("COMMIT", deadline: .soon)
        _ = try renaming.value()
        guard case .inProgress(isRunning: true) = try begin("r-4", of: "other") else { throw UnexpectedBeginning() }
    }

    @Test("where nothing is sent again, neither is a doubt that comes with a renamed subscription at this moment")
    func renamedIntoADoubt() throws {
        _ = try ledger.finish(try attempt("r-1"), .unusable(status: 500, body: ""), cause: .test, deadline: .soon)
        let holder = try shop.session()
        try holder.execute("BEGIN", deadline: .soon)
        try holder.execute("SELECT pg_advisory_xact_lock(hashtextextended('request r-2', 0))", deadline: .soon)
        // It has looked, and waits for its request id before it looks again.
        let beginning = Background { [shop] in
            try #require(throws: PostgresError.self) {
                try shop.session().execute(
                    "SELECT begin_charge_once('renamed', 'r-2', 'UTC', 60000, false)", deadline: .soon)
            }
        }
        try Eventually.happens("the charge to wait") { try shop.isHeldUp("begin_charge_once") }
        try shop.run(rename(subscription, to: "renamed"))
        try holder.execute("COMMIT", deadline: .soon)
        #expect(try beginning.value().sqlState == "40001")
        #expect(try shop.run("SELECT state FROM charge")[0].decode(String.self) == "unknown")
    }

    /// In one statement with its history, as the foreign key wants it.
    func rename(_ old: String, to new: String) -> SQL {
        """
        WITH history AS (
            UPDATE subscription_status_history SET subscription_id = \(new) WHERE subscription_id = \(old))
        UPDATE subscription SET id = \(new) WHERE id = \(old)
        """
    }

    @Test("deleted and inserted again while its charge begins: the new one is charged")
    func insertedAgainMeanwhile() throws {
        let id = try shop.subscription(club: club, history: [])
        let outsider = try shop.session()
        try outsider.execute("BEGIN", deadline: .soon)
        try outsider.execute("DELETE FROM subscription WHERE id = \(id)", deadline: .soon)
        try outsider.execute("INSERT INTO subscription VALUES (\(id), \(Int(club)), 'another')", deadline: .soon)
        let beginning = Background { [self] in try begin("r-1", of: id) }
        try Eventually.happens("the charge to wait") { try shop.isHeldUp("begin_charges") }
        try outsider.execute("COMMIT", deadline: .soon)
        guard case .begun(let attempt) = try beginning.value() else { throw UnexpectedBeginning() }
        #expect(attempt.customer == "another")
    }

    @Test("whoever truncates subscriptions while an outcome is recorded is not ended", arguments: [false, true])
    func truncatedBeforeTheRecord(byAnOperator: Bool) throws {
        let made = try attempt("r-1")
        if byAnOperator { try letTimePass() }
        let reader = try shop.session()
        try reader.execute("BEGIN", deadline: .soon)
        try reader.execute("SELECT count(*) FROM subscription", deadline: .soon)
        let truncation = Background { [self] in
            _ = try impatientSession().execute("TRUNCATE subscription, subscription_status_history", deadline: .soon)
        }
        try Eventually.happens("the truncation to wait") { try shop.isHeldUp("TRUNCATE") }
        let record = Background { [self] in
            if byAnOperator {
                try shop.run("SELECT settle_charge(\(made.charge), 'charged', 'A-1', 'ann', 'asked the platform')")
            } else {
                _ = try ledger.finish(made, .charged(status: 200, order: "{}"), cause: .test, deadline: .soon)
            }
        }
        try Eventually.happens("the record to wait") {
            try shop.isHeldUp(byAnOperator ? "settle_charge" : "finish_charges")
        }
        try reader.execute("COMMIT", deadline: .soon)
        #expect(throws: Never.self) { try truncation.value() }
        try record.value()
        #expect(try shop.count("SELECT count(*) FROM charge WHERE state = 'charged' AND retired_at IS NOT NULL") == 1)
    }

    @Test("whoever truncates table by table while a charge begins is not ended")
    func truncatedAroundTheBeginning() throws {
        let outsider = try impatientSession()
        try outsider.execute("BEGIN", deadline: .soon)
        try outsider.execute("TRUNCATE subscription_status_history", deadline: .soon)
        let beginning = Background { [self] in problem { _ = try begin("r-1") }?.slug }
        try Eventually.happens("the charge to wait") { try shop.isHeldUp("begin_charges") }
        #expect(throws: Never.self) {
            try outsider.execute("TRUNCATE subscription CASCADE", deadline: .soon)
            try outsider.execute("COMMIT", deadline: .soon)
        }
        #expect(try beginning.value() == "subscription-not-found")
    }

    /// One that looks for a deadlock before the ledger's sessions would.
    private func impatientSession() throws -> Connection {
        let session = try shop.session()
        try session.execute("SET deadlock_timeout = '500ms'", deadline: .soon)
        return session
    }

    private func isSomebodyWaiting() throws -> Bool {
        try shop.count(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") > 0
    }
}
