import Foundation
import Postgres
import Runtime
import TestSupport
import Testing

/// Doubts that are settled by the schedule, with nobody asking.
extension DirectedInstance.DirectedPlatformTests {
    func execute(_ sql: SQL) throws {
        try shop.database().execute(sql, deadline: .soon)
    }

    /// The charge as `GET /subscription/{id}` shows it.
    func shownCharge() throws -> TestJSON? {
        try shop.http.request("GET", "/subscription/\(subscription)").json()["charges"]?.elements.first
    }

    @Test("a charge whose function was killed is settled by the schedule itself, with the pinned request id")
    func settledBySchedule() throws {
        let gate = Gate()
        platform.behave { _ in .holdAfterActing(gate) }
        let first = Background { [shop, subscription] in
            try shop.http.request("POST", "/subscription/\(subscription)/charge/\(subscription)-1")
        }
        try Eventually.happens("the order to arrive") { !sent().isEmpty }
        for pid in try shop.pids("charge") { kill(pid, SIGKILL) }
        #expect(try first.value().status == 502)
        gate.open()
        platform.behave { _ in .order }
        try execute(
            "UPDATE charge SET lease_until = now() - interval '1 second' WHERE subscription_id = \(subscription)")
        try Eventually.happens("the settling", within: 150) { try shownCharge()?["status"]?.string == "charged" }
        #expect(sent() == ["\(subscription)-1", "\(subscription)-1"])
        #expect(platform.orders["\(subscription)-1"] == 1)
        #expect(try shownCharge()?["request_id"]?.string == "\(subscription)-1")
        #expect(try shownCharge()?["attempts"]?.integer == 2)
        try Eventually.happens("a line that says so") {
            try shop.log("settle-charges").contains { ($0["result"]?["settled"]?["charged"]?.integer ?? 0) > 0 }
        }
        try Eventually.happens("the function to be back") { try charge("\(subscription)-2").status == 200 }
    }

    @Test("an old doubt is shown, and settled by hand")
    func oldDoubt() throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "event-\(subscription).json")
        try Data("{}".utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let ordinal = platform.requests.count
        platform.behave { $0.ordinal == ordinal ? .actAndAnswer(500) : .order }
        #expect(try charge("\(subscription)-1").status == 502)
        #expect(try shownCharge()?["status"]?.string == "unknown")
        let now = try #require(try shownCharge()?["doubt_since"]?.string)
        try execute(
            """
            UPDATE charge SET doubt_since = doubt_since - interval '2 hours', settle_at = now() + interval '1 hour'
            WHERE subscription_id = \(subscription)
            """)
        #expect(try #require(try shownCharge()?["doubt_since"]?.string) < now)
        let ready = try shop.http.request("GET", "/readyz")
        #expect(ready.status == 200)
        #expect(try ready.json()["doubts_older_than_an_hour"]?.integer == 1)
        try execute("UPDATE charge SET settle_at = now() WHERE subscription_id = \(subscription)")
        // The schedule may be quicker; the answer of the one who comes second says that nothing was due.
        let result = try TestJSON(parsing: shop.tool("invoke", "settle-charges", "--event", file.path))
        #expect(result["settled"]?["unknown"]?.integer == 0)
        try Eventually.happens("the settling") { try shownCharge()?["status"]?.string == "charged" }
        #expect(try shownCharge()?["doubt_since"] == nil)
        #expect(try shop.http.request("GET", "/readyz").json()["doubts_older_than_an_hour"]?.integer == 0)
        #expect(Set(sent()) == ["\(subscription)-1"])
    }

    @Test func theToolKnowsAScheduledFunction() throws {
        let entry = try shop.status()["functions"]?.elements.first { $0["name"]?.string == "settle-charges" }
        #expect(entry?["kind"]?.string == "schedule" && entry?["state"]?.string == "running")
        #expect(entry?["schedule"]?.string == "rate(1 minute)")
        for command in ["routes", "status"] { #expect(try shop.tool(command).contains("rate(1 minute)"), "\(command)") }
        let before = try shop.pids("settle-charges")
        #expect(before.count == 1)
        try shop.tool("restart", "settle-charges")
        let after = try shop.pids("settle-charges")
        #expect(after.count == 1 && after != before)
        try shop.tool("logs", "settle-charges")
        #expect(try shop.http.request("GET", "/settle-charges").status == 404)
    }
}
