import Postgres
import Runtime
import TestSupport
import Testing

/// `taproom charges settle`, one after the other with the charge runs of the same instance.
extension ChargeRunTests {
    @Test func anOperatorSettlesADoubt() throws {
        let ids = try subscribe(2, customer: "settled")
        platform.behave { _ in .answer(500) }
        #expect(try chargeRun("--limit", "2").status == 1)
        try shop.tool("charges", "settle", ids[0], "--charged", "A-77", "--why", "seen on the platform", "--who", "ann")
        try shop.tool(
            "charges", "settle", ids[1], "--not-charged", "--request", requestID(ids[1]), "--why",
            "they have no such order")
        let shown = try shop.tool("charges", "show", ids[0])
        #expect(shown.contains("platform status 500") && shown.contains("by ann: seen on the platform"), "\(shown)")
        let refused = try shop.run([
            "charges", "settle", ids[0], "--not-charged", "--request", requestID(ids[0]), "--why", "changed my mind",
        ])
        #expect(refused.status != 0 && refused.errors.contains("it is charged already"), "\(refused.errors)")
        let both = try shop.run(["charges", "settle", ids[0], "--not-charged", "--charged", "A-1", "--why", "x"])
        #expect(both.status != 0 && both.errors.contains("either --charged ORDER or --not-charged"))

        platform.behave { _ in .order }
        let sent = platform.requests.count
        let run = try chargeRun()
        #expect(run.status == 0 && run.summary["replayed"]?.integer == 1 && run.summary["charged"]?.integer == 1)
        #expect(platform.requests.count == sent + 1)
        #expect(try charge(ids[0], "again").json()["order"]?.string == "A-77")
    }

    @Test("who looked for one order does not settle another one that came after it")
    func settledIsWhatWasLookedFor() throws {
        let id = try subscribe(1, customer: "looked")[0]
        let (first, second) = ("\(prefix)-A", "\(prefix)-B")
        platform.behave { $0.requestID == first ? .answer(402) : .actAndAnswer(500) }
        #expect(try charge(id, first).status == 402)
        #expect(try charge(id, second).status == 502)
        let settle = ["charges", "settle", id, "--why", "they have no such order"]
        #expect(try shop.run(settle + ["--not-charged"]).errors.contains("--not-charged needs --request ID"))
        for word in [["--not-charged"], ["--charged", "A-1"]] {
            let other = try shop.run(settle + word + ["--request", first])
            #expect(other.status != 0 && other.errors.contains("look for the order of \(second)"), "\(other.errors)")
        }
        #expect(try shop.tool("charges", "show", id).contains(": unknown\n"))
        let said = try shop.run(settle + ["--charged", "B-1", "--request", second])
        #expect(said.status == 0 && said.output.contains("request id \(second)"), "\(said.output)\(said.errors)")
    }

    @Test func whatIsSettledOfADeletedSubscriptionDecidesNothing() throws {
        let ids = try subscribe(2, customer: "deleted")
        platform.behave { _ in .answer(500) }
        #expect(try chargeRun().status == 1)
        let requests = try ids.map(requestID)
        try database.execute("DELETE FROM subscription_status_history", deadline: .soon)
        try database.execute("DELETE FROM subscription", deadline: .soon)
        for word in [["--charged", "A-1"], ["--not-charged", "--request", requests[1]]] {
            let id = word.count == 2 ? ids[0] : ids[1]
            let said = try shop.run(["charges", "settle", id, "--why", "seen"] + word)
            #expect(said.status == 0 && said.output.contains("The subscription was deleted"), "\(said.errors)")
            #expect(!said.output.contains("for that month") && !said.output.contains("may charge"), "\(said.output)")
        }
    }

    @Test("ids that outsiders wrote do not steer the terminal of who settles")
    func steeredSettlement() throws {
        try database.execute(
            """
            INSERT INTO charge (subscription_id, period, state, request_id, customer_id, sku_id, in_doubt, lease_until,
                                created_at)
            VALUES (E'steered\\u001b', '2001-01', 'unknown', E'r\\u001b', 'c', 1, true, now(), now())
            """, deadline: .soon)
        let said = try shop.tool("charges", "settle", "steered\u{1B}", "--charged", "A-1", "--why", "seen")
        #expect(said.contains("(subscription steered\u{FFFD}, 2001-01, request id r\u{FFFD})"), "\(said)")
        #expect(!said.contains("\u{1B}"), "\(said)")
    }

    @Test("what is too long for the record is named before anything is done, in characters as the database counts")
    func tooLongToSettle() throws {
        func refusal(who: Int, why: Int) throws -> String {
            let (who, why) = (String(repeating: "é", count: who), String(repeating: "e\u{301}", count: why / 2))
            return try shop.run(["charges", "settle", "nobody", "--charged", "A-1", "--who", who, "--why", why]).errors
        }
        #expect(try refusal(who: 128, why: 1024).contains("no charge and no subscription with charges"))
        #expect(try refusal(who: 129, why: 1024).contains("--who has 129 characters; shorten it to at most 128"))
        #expect(try refusal(who: 128, why: 1026).contains("--why has 1026 characters; shorten it to at most 1024"))
    }

    @Test func whatIsSettledInAMonthThatIsOverStaysUncharged() throws {
        let id = try subscribe(1, customer: "past")[0]
        platform.behave { _ in .answer(500) }
        #expect(try chargeRun().status == 1)
        try database.execute("UPDATE charge SET period = '2001-01' WHERE subscription_id = \(id)", deadline: .soon)
        let said = try shop.tool(
            "charges", "settle", id, "--not-charged", "--request", requestID(id), "--why", "they have no such order")
        #expect(said.contains("That month is over") && !said.contains("may charge it"), "\(said)")
    }

    @Test("an order that begins like JSON and is none is refused", arguments: [#"{"a":1,}"#, "[1,]", "{},{}", "{"])
    func ordersAreJSON(order: String) throws {
        let run = try shop.run(["charges", "settle", "nobody", "--charged", order, "--why", "seen"])
        #expect(run.status != 0 && run.errors.contains("begins like JSON and is none"), "\(run.errors)")
    }
}
