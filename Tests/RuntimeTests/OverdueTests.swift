import Glibc
import TestSupport
import Testing

@testable import Runtime

/// Invocations that do not end.
@Suite struct OverdueTests {
    /// A charge that stands still has one of two workers; the other one is at a body that still comes.
    @Test func whatDoesNotEndEndsItsProcessOnceTheOthersAreDone() throws {
        let folder = try TemporaryFolder()
        try folder.copy(executable: TestProcess.product("ChargeFunction"), to: "ChargeFunction")
        try folder.write("fault", "hold charge.before-begin")
        let listener = try StreamListener(path: folder.path + "/socket")
        let process = try ChildProcess(
            folder.path + "/ChargeFunction",
            environment: FunctionProcess.environment(
                "ChargeFunction", routes: ["POST /subscription/{id}/charge/{request_id}"], timeout: 1, concurrency: 2
            ).merging([
                "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "ECOMMERCE_URL": "http://127.0.0.1:1",
                "ECOMMERCE_API_KEY": "k", "ECOMMERCE_API_SECRET": "s",
                "ECOMMERCE_RESEND": "idempotent", "BILLING_TIME_ZONE": "UTC",
            ]) { $1 }, input: listener.number)
        func gaveUp() -> [String] { process.lines.filter { $0.contains("\"critical\"") } }

        let stuck = try FastCGIProbe(path: folder.path + "/socket")
        try stuck.send(
            FastCGIProbe.records(
                "POST", "/subscription/s/charge/r-1", parameters: [("HTTP_X_REQUEST_ID", "stuck-1")]))
        try Eventually.happens("the charge to stand still") { process.lines.contains { $0.contains("held") } }
        let slow = try FastCGIProbe(path: folder.path + "/socket")
        var rest = FastCGIProbe.records("POST", "/none", body: [UInt8](repeating: 32, count: 20_000), pieces: 1)[...]
        try Eventually.happens("the charge to be given up") {
            if rest.count > 2 { try slow.send([rest.removeFirst()]) }
            return !gaveUp().isEmpty
        }
        #expect(process.end == nil)
        try slow.send(Array(rest))
        #expect(try slow.answer().status == 404)
        #expect(try process.waitForEnd() == .exited(70))
        #expect(throws: BrokenMessage.self) { try stuck.answer() }

        let lines = gaveUp()
        #expect(lines.count == 1)
        let line = try TestJSON(parsing: lines[0])
        #expect(line["function"]?.string == "charge" && line["request_id"]?.string == "stuck-1")
        #expect(line["route"]?.string == "POST /subscription/{id}/charge/{request_id}")
        guard case .number = line["duration_ms"] else {
            Issue.record("no duration_ms")
            return
        }
    }

    private func watch() -> Watch {
        Watch(.init(function: "f", routes: [], timeoutMilliseconds: 1, concurrency: 1))
    }

    /// After a stop of the whole process every invocation may be past its limit; each gets its looks all the same.
    @Test func looksAreCountedAndNotTime() {
        let watch = watch()
        watch.begin(start: 0, requestID: "r-1", subject: "route", "GET /x")
        for _ in 0..<Watch.grace { #expect(watch.look()?.requestID == nil) }
        #expect(!watch.isOverdue)
        #expect(watch.look()?.requestID == "r-1")
        #expect(watch.isOverdue)
        #expect(watch.look()?.requestID == nil, "it is given up once")
    }

    @Test func everyInvocationHasItsOwnLooks() {
        let watch = watch()
        for start in 0..<20 {
            #expect(watch.look()?.requestID == nil)
            watch.begin(start: UInt64(start), requestID: "r", subject: "route", "GET /x")
            #expect(watch.look()?.requestID == nil)
            watch.end()
        }
        watch.begin(start: Clock.monotonicNanoseconds() + 3_600_000_000_000, requestID: "r", subject: "tick", "1")
        for _ in 0..<20 { #expect(watch.look()?.requestID == nil) }
    }
}
