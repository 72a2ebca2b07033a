import Charging
import Postgres
import Runtime
import Subscriptions
import TestSupport
import Testing

/// Charges that have waited, and how long the platform is given.
@Suite struct TimeLimitTests: ChargeSuite {
    let setup: ChargeSetup

    init() throws { setup = try ChargeSetup() }

    /// The charge function with so many seconds for a request, of which all but 3 are the platform's.
    func function(timeout: Int = 10) throws -> FunctionProcess {
        try FunctionProcess(
            "ChargeFunction", routes: ["POST /subscription/{id}/charge/{request_id}"], timeout: timeout, concurrency: 8,
            environment: [
                "DATABASE_URL": shop.url, "ECOMMERCE_URL": platform.url, "ECOMMERCE_API_KEY": "key",
                "ECOMMERCE_API_SECRET": "secret", "ECOMMERCE_RESEND": "idempotent", "BILLING_TIME_ZONE": "UTC",
            ])
    }

    /// Charges as a request that came to the gateway so long ago.
    func charge(
        _ function: FunctionProcess, _ request: String, of id: String, waited milliseconds: Int = 0
    ) throws -> FastCGIResponse {
        let start = String(Clock.epochMilliseconds() - milliseconds)
        return try function.request(
            "POST", "/subscription/\(id)/charge/\(request)",
            parameters: [("REQUEST_START", "\(start.dropLast(3)).\(start.suffix(3))")])
    }

    @Test("what has waited until the platform would hardly have time is not sent, and says so")
    func waitedTooLong() throws {
        let function = try function()
        let refused = try charge(function, "r-1", of: subscription, waited: 5000)
        #expect(refused.status == 503 && refused.headers["retry-after"] != nil, "\(refused.status)")
        #expect(try TestJSON(parsing: refused.body)["executed"]?.string == "no")
        #expect(platform.requests.isEmpty)
        #expect(try charge(of: subscription).state == "released")
        #expect(try charge(function, "r-2", of: subscription, waited: 1000).status == 200)
        #expect(platform.orders == ["r-2": 1])
    }

    @Test("silence towards charges that had waited does not open the circuit")
    func silenceAfterWaiting() throws {
        // Silence counts until 1 s was waited, and orders go out until 5.5 s were.
        let function = try function(timeout: 14)
        let gate = Gate()
        platform.behave { _ in .holdBeforeActing(gate) }
        let club = try shop.club()
        let ids = try (0..<5).map { _ in try shop.subscription(club: club, history: []) }
        let statuses = try concurrently(5) { index in
            try charge(function, "r-\(index)", of: ids[index], waited: 1500).status
        }
        #expect(statuses == Array(repeating: 504, count: 5))
        gate.open()
        platform.behave { _ in .order }
        #expect(try charge(function, "r-5", of: subscription).status == 200)
    }

    @Test("while the platform answers nothing, one doubt a run loses a try")
    func silenceUsesUpNoTries() throws {
        try doubts(10)
        platform.behave { _ in .cutBeforeActing }
        for _ in 1...2 {
            try letTimePass()
            #expect(try settle() == [0, 0, 1, 0])
        }
        #expect(try shop.count("SELECT sum(settle_count) FROM charge") == 2)
    }

    @Test func noDoubtIsTakenWhileThePlatformIsLeftAlone() throws {
        try doubt("r-1")
        try letTimePass()
        let away = try ScriptedPlatform()
        away.stop()
        let desk = shop.desk(away)
        let other = try shop.subscription(club: try shop.club(), history: [])
        for number in 1...5 {
            #expect(
                problem { _ = try desk.charge(subscription: other, requestID: "x-\(number)", .test()) } != nil)
        }
        #expect(try settle(desk) == [0, 0, 0, 0])
        #expect(try shop.count("SELECT sum(settle_count) FROM charge") == 0)
    }
}
