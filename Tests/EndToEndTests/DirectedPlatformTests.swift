import Glibc
import Postgres
import Runtime
import TestSupport
import Testing

extension DirectedInstance {
    /// Charges through the real gateway against a platform that does what the test says.
    @Suite struct DirectedPlatformTests {
        let shop: PrivateInstance
        let platform: ScriptedPlatform
        let subscription: String

        init() throws {
            shop = try PrivateInstance.directed.get()
            platform = try #require(shop.platform)
            platform.behave { _ in .order }
            subscription = try shop.subscription(inClub: try shop.club(in: try shop.database()))
        }

        func charge(_ request: String) throws -> HTTPProbe.Response {
            try shop.http.request("POST", "/subscription/\(subscription)/charge/\(request)")
        }

        func sent() -> [String] { platform.requests.map(\.requestID).filter { $0.hasPrefix(subscription) } }

        @Test func fiftyRacingChargesCallThePlatformOnce() throws {
            platform.behave { _ in PlatformBehaviour(before: .milliseconds(300)) }
            let answers = try concurrently(50) { index in try charge("\(subscription)-\(index)") }
            #expect(answers.allSatisfy { $0.status == 200 }, "\(Set(answers.map(\.status)))")
            #expect(Set(answers.map(\.body)).count == 1)
            #expect(answers.count { $0.headers["idempotent-replayed"] == nil } == 1)
            #expect(sent().count == 1)
        }

        static let cases: [(PlatformBehaviour, Int, String, Bool)] = [
            (.answer(402, #"{"reason":"card expired"}"#), 402, "charge-declined", false),
            (.answer(401), 502, "platform-refused-us", false),
            (.answer(500), 502, "platform-error", true),
            (.answer(429, headers: [("Retry-After", "9")]), 503, "platform-busy", true),
            (.cutAfterActing, 504, "charge-outcome-unknown", true),
        ]

        @Test("refusals and doubts have the contract's form, and settle into one order", arguments: cases.indices)
        func refusals(index: Int) throws {
            let (behaviour, status, slug, hasRetryAfter) = Self.cases[index]
            let ordinal = platform.requests.count
            platform.behave { $0.ordinal == ordinal ? behaviour : .order }
            let first = try charge("\(subscription)-1")
            #expect(first.status == status && first.problem == slug, "\(first.text)")
            #expect((first.headers["retry-after"] != nil) == hasRetryAfter, "\(slug)")
            #expect(try charge("\(subscription)-2").status == 200)
            #expect(platform.orders.keys.filter { $0.hasPrefix(subscription) }.count == 1)
        }

        @Test("a killed function leaves a charge that is finished under the same request id")
        func killedDuringTheCall() throws {
            let gate = Gate()
            platform.behave { _ in .holdAfterActing(gate) }
            let first = Background { [shop, subscription] in
                try shop.http.request("POST", "/subscription/\(subscription)/charge/\(subscription)-1")
            }
            try Eventually.happens("the order to arrive") { !sent().isEmpty }
            for pid in try shop.pids("charge") { kill(pid, SIGKILL) }
            let lost = try first.value()
            #expect(lost.status == 502, "\(lost.text)")
            #expect(try lost.json()["executed"]?.string == "unknown")
            gate.open()
            platform.behave { _ in .order }

            // Nobody waits for the lease here, and it ends for nobody who is slow: what the passing of time does to it is
            // done by hand.
            func moveLease(_ span: String) throws {
                let moved = try shop.database().execute(
                    """
                    UPDATE charge SET lease_until = lease_until + \(span)::interval
                    WHERE subscription_id = \(subscription) AND lease_until > now()
                    """, deadline: .soon)
                #expect(moved.affected == 1, "the lease runs")
            }
            try moveLease("1 hour")
            try Eventually.happens("the function to be back") { try charge("\(subscription)-2").status == 409 }
            let busy = try charge("\(subscription)-2")
            #expect(busy.problem == "charge-in-progress" && busy.headers["retry-after"] != nil)
            try moveLease("-1 day")
            let settled = try charge("\(subscription)-2")
            #expect(settled.status == 200)
            #expect(try settled.json()["request_id"]?.string == "\(subscription)-1")
            #expect(Set(sent()) == ["\(subscription)-1"])
        }
    }
}
