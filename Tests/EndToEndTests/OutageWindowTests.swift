import Glibc
import Postgres
import Runtime
import TestSupport
import Testing

/// Windows in which a server takes no writes or forgets them, and those in which an operator decides.
@Suite(.serialized) struct OutageWindowTests: WindowSuite {
    let broken: Breakage
    let platform: ScriptedPlatform
    let club: Int

    init() throws { (broken, platform, club) = try Self.prepare(PrivateInstance.outage) }

    @Test("a server that confirms commits before they are on disk, and crashes: the row is there")
    func window18AsynchronousCommits() throws {
        try broken.setSynchronousCommit("off")
        defer { try? broken.setSynchronousCommit("on") }
        let window = try window(18)
        let held = try hold(window, at: .afterBegin)
        try broken.restartDatabase(SIGQUIT)
        #expect(try window.states() == ["sending"])
        try broken.release()
        #expect(try held.value().status == 200)
        #expect(try requestID(window.charge("b")) == "a" && window.sent == ["a"])
        try window.audit("commits not awaited, PostgreSQL crashed at charge.after-begin")
    }

    @Test(
        "supervisord killed while an order is made, and what it left stopped: PostgreSQL last, so the order is recorded"
    )
    func window18SupervisorKilled() throws {
        let window = try window(18)
        let gate = Gate()
        defer { gate.open() }
        platform.behave { _ in .holdAfterActing(gate) }
        _ = window.chargeInBackground("a")
        try Eventually.happens("the order") { window.orders.count == 1 }
        try broken.killSupervisor()
        defer { _ = try? broken.shop.tool("up") }
        let down = try broken.shop.start("down")
        try Eventually.happens("the gateway's end") { (try? broken.shop.http.request("GET", "/livez")) == nil }
        // All of them are stopped by now that are stopped together with the gateway.
        gate.open()
        #expect(try down.waitForEnd() == .exited(0))
        try broken.shop.tool("up")
        #expect(try window.states() == ["charged"])
        try window.audit("supervisord killed during the call, the rest stopped")
    }

    @Test(arguments: WriteRefusal.allCases) func window18RefusedBeforeTheRow(refusal: WriteRefusal) throws {
        let window = try window(18)
        defer { try? broken.allowWrites() }
        try broken.refuseWrites(refusal)
        let refused = try window.charge("a")
        #expect(refused.status == 503 && refused.problem == "database-unavailable", "\(refused.text)")
        #expect(try refused.json()["executed"]?.string == "no")
        #expect(refused.headers["retry-after"] != nil && window.sent.isEmpty)
        try broken.allowWrites()
        #expect(try requestID(window.charge("b")) == "b")
        try window.audit("\(refusal.rawValue) before the row")
    }

    @Test(
        "writes refused when the outcome is to be recorded: recorded when they are not, or settled after a kill",
        arguments: WriteRefusal.allCases)
    func window18RefusedBeforeTheRecord(refusal: WriteRefusal) throws {
        for isKilled in [false, true] {
            for point in [Breakage.Point.afterBegin, .beforeFinish] {
                let window = try window(18)
                defer { try? broken.allowWrites() }
                let held = try hold(window, at: point)
                try broken.refuseWrites(refusal)
                let refused = try broken.refusedWrites(refusal, of: "charge")
                try broken.release()
                try Eventually.happens("a refused write") {
                    try broken.refusedWrites(refusal, of: "charge") > refused
                }
                #expect(window.orders.count == 1)
                if isKilled { broken.killFunction() }
                if isKilled { #expect(try held.value().status == 502) }
                try broken.allowWrites()
                if !isKilled { #expect(try held.value().status == 200) }
                #expect(try requestID(window.settle("b")) == "a")
                try window.audit(
                    "\(refusal.rawValue) from \(point.rawValue)\(isKilled ? ", killed before it was over" : "")")
            }
        }
    }
}
