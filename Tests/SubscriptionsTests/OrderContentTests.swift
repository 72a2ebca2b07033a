import Charging
import Postgres
import Runtime
import Subscriptions
import TestSupport
import Testing

/// What is sent to the platform, and what is kept of its answer.
@Suite struct OrderContentTests: ChargeSuite {
    let setup: ChargeSetup

    init() throws { setup = try ChargeSetup() }

    @Test("what is sent after a refusal is the customer and the article of that moment", arguments: [402, 429])
    func afterARefusal(status: Int) throws {
        platform.behave { _ in .answer(status) }
        #expect(problem { try charge("r-1") } != nil)
        platform.behave { _ in .order }
        try shop.run("UPDATE club SET store_sku = 701")
        try shop.run("UPDATE subscription SET customer_store_id = 'moved'")
        try charge("r-2")
        let body = try TestJSON(parsing: platform.requests[1].body)
        #expect(body["sku_id"]?.integer == 701 && body["customer_id"]?.string == "moved")
    }

    @Test func aLongOrderIsKeptWhole() throws {
        let order = #"{"lines":""# + String(repeating: "ü", count: 5000) + #""}"#
        platform.behave { _ in .actAndAnswer(200, order) }
        #expect(try receipt("r-1").order == order)
    }

    @Test("every 2xx is an order, also one without a body", arguments: [201, 202, 204, 299])
    func everySuccess(status: Int) throws {
        let (body, kept) = status == 204 ? ("", "null") : ("{}", "{}")
        platform.behave { _ in .actAndAnswer(status, body) }
        #expect(try receipt("r-1").order == kept)
    }
}
