import Glibc
import Postgres
import Runtime
import TestSupport
import Testing

extension OutageWindowTests {
    // MARK: A platform to which nothing may be sent twice

    @Test("with ecommerce.resend = manual a doubt is sent by nobody; an operator's word decides")
    func windowManual() throws {
        let shop = broken.shop
        try shop.tool("up", settings: ["TAPROOM_ECOMMERCE_RESEND": "manual"])
        // The other tests here count on doubts being sent again, which takes a word, once.
        defer {
            #expect(throws: Never.self) {
                try shop.tool("up", settings: ["TAPROOM_ECOMMERCE_RESEND": "idempotent"])
                try shop.tool("up")
            }
        }
        for hasActed in [true, false] {
            let windows = [try killed(hasActed: hasActed), try cut(hasActed: hasActed)]
            platform.behave { _ in .order }
            try broken.expireLeases()
            for window in windows {
                for name in ["a", "b"] {
                    let refused = try window.charge(name)
                    #expect(refused.status == 504 && refused.problem == "charge-outcome-unknown", "\(refused.text)")
                    #expect(refused.text.contains("an operator settles it") && refused.headers["retry-after"] == "3600")
                }
            }
            try settleBySchedule(expecting: 2)
            #expect(windows.allSatisfy { $0.sent == ["a"] })
            for window in windows { try decide(window, hasActed: hasActed) }
            try windows[0].audit("manual: killed during the call, settled as \(hasActed ? "" : "not ")charged")
            try windows[1].audit("manual: cut \(hasActed ? "after" : "before") acting, settled as it is")
        }
    }

    @Test("an operator was wrong while an attempt ran: the second order is logged and shown, and one is kept")
    func secondOrder() throws {
        let window = try window(3)
        let gate = Gate()
        defer { gate.open() }
        let first = window.id("a")
        platform.behave { $0.requestID == first ? .holdAfterActing(gate) : .order }
        let late = window.chargeInBackground("a")
        try Eventually.happens("the call") { !window.orders.isEmpty }
        try broken.expireLeases()
        let settle = [
            "charges", "settle", window.subscription, "--not-charged", "--request", first, "--why", "did not look",
        ]
        #expect(try broken.shop.run(settle).status == 0)
        let charged = try window.charge("b")
        #expect(try requestID(charged) == "b")
        gate.open()
        #expect(try late.value().body == charged.body, "one answer for the month, whoever asks")
        try Eventually.happens("a line that says so") {
            try broken.shop.log("charge").contains {
                $0["level"]?.string == "critical" && $0["message"]?.string?.contains("\(first) beside") == true
            }
        }
        #expect(try broken.shop.tool("charges", "show", window.subscription).contains("SECOND ORDER  \(first): "))
        #expect(try broken.shop.tool("charges", "list").contains("charged (ordered twice)"))
    }

    private func killed(hasActed: Bool) throws -> ChargeWindow {
        let window = try window(3)
        let gate = Gate()
        defer { gate.open() }
        platform.behave { _ in
            hasActed ? .holdAfterActing(gate) : PlatformBehaviour(acts: false, before: .until(gate), reply: .nothing)
        }
        let lost = window.chargeInBackground("a")
        try Eventually.happens("the call") { window.sent == ["a"] && window.orders.isEmpty != hasActed }
        broken.killFunction()
        #expect(try lost.value().status == 502)
        return window
    }

    private func cut(hasActed: Bool) throws -> ChargeWindow {
        let window = try window(7)
        platform.behave { _ in hasActed ? .cutAfterActing : .cutBeforeActing }
        try Eventually.happens("the function to be back") { try window.charge("a").status == 504 }
        return window
    }

    private func settleBySchedule(expecting count: Int) throws {
        try broken.sql(
            "UPDATE charge SET settle_at = now() - interval '1 minute' WHERE state IN ('sending', 'unknown')")
        let folder = try TemporaryFolder()
        try folder.write("event.json", "{}")
        let report = try TestJSON(
            parsing: broken.shop.tool("invoke", "settle-charges", "--event", "\(folder.path)/event.json"))
        #expect(report["settled"]?["waiting_for_operator"]?.integer == count)
    }

    private func decide(_ window: ChargeWindow, hasActed: Bool) throws {
        let word =
            hasActed
            ? ["--charged", #"{"id":"order-of-\#(window.id("a"))"}"#] : ["--not-charged", "--request", window.id("a")]
        let run = try broken.shop.run(
            ["charges", "settle", window.subscription, "--why", "asked them", "--who", "ann"] + word)
        #expect(run.status == 0, "\(run.errors)")
        let answer = try window.charge("b")
        #expect(answer.status == 200)
        #expect(try requestID(answer) == (hasActed ? "a" : "b"))
        #expect(window.sent == (hasActed ? ["a"] : ["a", "b"]))
    }
}
