import Postgres
import Runtime
import TestSupport
import Testing

/// The month that a run charges, and its end.
extension ChargeRunTests {
    /// Runs while the month turns, as soon as so many requests have reached the platform.
    /// - Parameter gate: is opened then.
    func chargeRun(overMonthEndAfter requests: Int, opening gate: Gate) throws -> (status: Int32, summary: TestJSON) {
        let calendar = try Breakage(shop)
        defer { try? calendar.setMonthsAhead(0) }
        let before = platform.requests.count
        let run = Background { try self.chargeRun("--concurrency", "3") }
        try platform.waitForRequests(before + requests)
        try calendar.setMonthsAhead(1)
        gate.open()
        return try run.value()
    }

    @Test(
        "the month's end stops a run that charges nobody: what was refused in the old month is not sent in the new one")
    func monthEndsBeforeTheRepetition() throws {
        _ = try subscribe(3, customer: "late")
        platform.behave { _ in .answer(429, headers: [("Retry-After", "10")]) }
        let sent = platform.requests.count
        let run = try chargeRun(overMonthEndAfter: 3, opening: Gate())
        #expect(run.status == 1 && run.summary["stopped"]?.string == "month-ended", "\(run.summary)")
        #expect(run.summary["refused"]?.integer == 0 && run.summary["unreachable"]?.integer == 3, "\(run.summary)")
        #expect(platform.requests.count == sent + 3)
    }

    @Test("the month's end stops a run whose every charge is declined")
    func monthEndsAmongDeclines() throws {
        _ = try subscribe(60, customer: "poor")
        // Those that come before the month has turned are answered in the new one; the rest takes longer than from one
        // look at the month to the next.
        let gate = Gate()
        let sent = platform.requests.count
        platform.behave { request in
            PlatformBehaviour(
                acts: false, before: request.ordinal < sent + 5 ? .none : .until(gate), after: .milliseconds(200),
                reply: Self.declined.reply)
        }
        let run = try chargeRun(overMonthEndAfter: 5, opening: gate)
        #expect(run.status == 1 && run.summary["stopped"]?.string == "month-ended", "\(run.summary)")
        #expect((run.summary["not_asked"]?.integer ?? 0) > 0, "\(run.summary)")
    }

    static let declined = PlatformBehaviour.answer(402)

    @Test func onlyTheCurrentMonthIsCharged() throws {
        let run = try shop.run(["charge-run", "--period", "1999-12"])
        #expect(run.status != 0 && run.errors.contains("only the current month can be charged"), "\(run.errors)")
        #expect(try shop.run(["charges", "list", "--period", "2026-13"]).errors.contains("give a month"))
        #expect(try shop.run(["charges", "list", "--older-than", "soon"]).errors.contains("such as 90s or 1h"))
        #expect(try shop.run(["charges", "list", "--limit", "\(Int.max)"]).errors.contains("give a number from 1 to"))
    }
}
