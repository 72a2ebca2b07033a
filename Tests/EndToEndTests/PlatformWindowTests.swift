import Glibc
import Postgres
import Runtime
import TestSupport
import Testing

extension ChargeWindowTests {
    // MARK: What the platform does

    @Test("not reached: tried again within the call, then 503; after five such calls nothing is tried for a while")
    func window06NothingSent() throws {
        let shop = broken.shop
        let urls = [
            ("connection refused", "http://127.0.0.1:\(try Loopback.freePort())"),
            ("name not found", "http://platform.invalid"),
            ("TLS failure", "https://127.0.0.1:\(platform.port)"),
        ]
        defer { platform.closeConnections { _ in false } }
        var windows: [(ChargeWindow, String)] = []
        for (what, url) in urls {
            try shop.tool("up", settings: ["TAPROOM_ECOMMERCE_URL": url])
            // Who closes at once never says a word of TLS.
            platform.closeConnections { _ in what == "TLS failure" }
            let window = try self.window(6)
            windows.append((window, what))
            let connections = platform.connectionCount
            let refused = try window.charge("a")
            #expect(refused.status == 503 && refused.problem == "platform-unreachable", "\(refused.text)")
            #expect(try refused.json()["executed"]?.string == "no")
            #expect(refused.headers["retry-after"] != nil)
            #expect(try window.states() == ["released"])
            if what == "TLS failure" { #expect(platform.connectionCount == connections + 4) }
        }
        for number in 2...6 {
            let connections = platform.connectionCount
            #expect(try windows[2].0.charge("\(number)").status == 503)
            #expect((platform.connectionCount > connections) == (number < 6))
        }
        let circuits = try shop.status()["circuits"]?.elements ?? []
        #expect(circuits.contains { $0["state"]?.string == "open" && $0["function"]?.string == "charge" })
        platform.closeConnections { _ in false }
        try shop.tool("up")
        for (window, what) in windows {
            #expect(try requestID(window.charge("b")) == "b", "\(what) pins nothing")
            #expect(window.sent == ["b"])
            try window.audit(what)
        }
    }

    static let doubts: [(String, PlatformBehaviour, Int)] = [
        ("answer cut in the middle", .cutInReply, 504), ("cut before acting", .cutBeforeActing, 504),
        ("cut after acting", .cutAfterActing, 504), ("answer of 10 MB", .huge, 504), ("no HTTP", .garbage, 504),
        ("invalid JSON", .actAndAnswer(200, "{"), 502), ("cut within JSON", .actAndAnswer(200, "{\"id\":1"), 502),
    ]

    @Test func window07SentAndNobodyKnows() throws {
        let gate = Gate()
        defer { gate.open() }
        let silent = try window(7)
        platform.behave { $0.times == 1 ? .holdAfterActing(gate) : .order }
        // This one waits for the function's whole time limit; the others do not wait for it.
        let unheard = silent.chargeInBackground("a")
        try Eventually.happens("the call") { !silent.orders.isEmpty }
        for (what, behaviour, status) in Self.doubts {
            let window = try self.window(7)
            platform.behave { $0.times == 1 ? behaviour : .order }
            let doubt = try window.charge("a")
            #expect(doubt.status == status && doubt.headers["retry-after"] != nil, "\(what): \(doubt.text)")
            #expect(try window.states() == ["unknown"], "\(what)")
            #expect(try requestID(window.charge("b")) == "a", "\(what)")
            #expect(window.sent == ["a", "a"], "\(what)")
            try window.audit(what)
        }
        let late = try unheard.value()
        #expect(late.status == 504 && late.problem == "charge-outcome-unknown", "\(late.text)")
        #expect(try requestID(silent.charge("b")) == "a")
        #expect(silent.sent == ["a", "a"])
        try silent.audit("no answer until the deadline")
    }

    @Test func window12DeclinedThenAgain() throws {
        let window = try window(12)
        let others = platform.requests.count
        platform.behave { $0.ordinal < others + 2 ? .answer(402, #"{"reason":"card expired"}"#) : .order }
        for name in ["a", "a"] { #expect(try window.charge(name).problem == "charge-declined") }
        #expect(try window.states() == ["declined"])
        #expect(try requestID(window.charge("b")) == "b")
        #expect(window.sent == ["a", "a", "b"])
        let events = try broken.sql(
            """
            SELECT e.attempt, e.what FROM charge_event e JOIN charge c ON c.id = e.charge_id
            WHERE c.subscription_id = \(window.subscription) ORDER BY e.id
            """
        ).map { try $0.decode(Int.self, String.self) }
        #expect(events.map(\.0) == [1, 1, 2, 2, 3, 3])
        #expect(events.map(\.1) == ["begun", "declined", "begun", "declined", "begun", "charged"])
        try window.audit("declined twice, then charged")
    }

    @Test func window13ServerErrorThenAgain() throws {
        for hasActed in [true, false] {
            let window = try window(13)
            platform.behave { $0.times == 1 ? (hasActed ? .actAndAnswer(500) : .answer(503)) : .order }
            #expect(try window.charge("a").problem == "platform-error")
            #expect(try requestID(window.charge("b")) == "a")
            #expect(window.sent == ["a", "a"])
            try window.audit("5xx \(hasActed ? "after" : "without") acting")
        }
    }

    // MARK: The end of a month

    @Test func window14TheAnswerComesInTheNextMonth() throws {
        let window = try window(14)
        defer { try? broken.setMonthsAhead(0) }
        let gate = Gate()
        platform.behave { _ in .holdAfterActing(gate) }
        let last = window.chargeInBackground("a")
        try Eventually.happens("the call") { window.sent == ["a"] }
        try broken.setMonthsAhead(1)
        gate.open()
        platform.behave { _ in .order }
        let old = try last.value()
        let new = try window.charge("b")
        #expect(old.status == 200 && new.status == 200 && window.sent == ["a", "b"])
        let periods = [try old.json()["period"]?.string ?? "", try new.json()["period"]?.string ?? ""]
        #expect(periods[0] < periods[1])
        #expect(try window.charge("a").body == new.body, "this month is charged, whatever id is named")
        try window.audit("request at the last instant of a month: two months, two orders", orders: 2)
    }

    @Test("the month is that of the time zone that the instance was started with")
    func window14TheBusinessTimeZone() throws {
        let zone = "Africa/Nairobi"
        try broken.setMonthsAhead(24, in: zone)
        defer {
            try? broken.setMonthsAhead(0)
            _ = try? broken.shop.tool("up")
        }
        let window = try window(14)
        let here = try window.charge("a")
        try broken.shop.tool("up", settings: ["TAPROOM_BILLING_TIME_ZONE": zone])
        let there = try window.charge("b")
        #expect(here.status == 200 && there.status == 200, "\(here.text) \(there.text)")
        #expect(try here.json()["period"]?.string ?? "" < there.json()["period"]?.string ?? "")
        try window.audit("the month of another time zone", orders: 2)
    }

    @Test func window14LastMonthsDoubtBesideThisMonthsCharge() throws {
        let window = try window(14)
        defer { try? broken.setMonthsAhead(0) }
        platform.behave { _ in .cutAfterActing }
        #expect(try window.charge("a").problem == "charge-outcome-unknown")
        try broken.setMonthsAhead(1)
        let gate = Gate()
        let current = window.id("b")
        platform.behave { $0.requestID == current ? .holdAfterActing(gate) : .order }
        let running = window.chargeInBackground("b")
        try Eventually.happens("this month's call") { window.sent == ["a", "b"] }
        let settled = try window.charge("a")
        gate.open()
        let charged = try running.value()
        #expect(settled.status == 200 && charged.status == 200, "\(settled.text) \(charged.text)")
        #expect(try requestID(settled) == "a" && requestID(charged) == "b")
        #expect(try settled.json()["period"]?.string ?? "" < charged.json()["period"]?.string ?? "")
        #expect(window.sent == ["a", "b", "a"])
        try window.audit("last month's doubt settled while this month's charge runs", orders: 2)
    }
}
