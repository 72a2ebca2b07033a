import Foundation
import Outbound
import Runtime
import TestSupport
import Testing

@testable import Operations

/// Runs against a gateway that the test plays.
@Suite struct RunTests {
    let gateway: ScriptedPlatform

    init() throws { gateway = try ScriptedPlatform() }

    func run(
        _ subscriptions: [String], used: Set<String> = [], concurrency: Int = 2,
        month: @escaping @Sendable () throws -> String = { "2026-11" }
    ) throws -> ChargeRun {
        ChargeRun(
            gateway: try GatewayClient(base: "http://127.0.0.1:\(gateway.port)"), period: "2026-11",
            subscriptions: subscriptions, usedRequestIDs: used,
            summary: RunSummary(period: "2026-11", eligible: subscriptions.count),
            concurrency: concurrency, currentPeriod: month, progress: ProgressBar(isTerminal: false) { _ in })
    }

    static let receipt = PlatformBehaviour.answer(200, #"{"period":"2026-11"}"#)
    static func notExecuted(_ slug: String) -> PlatformBehaviour {
        .answer(503, #"{"type":"/problems/\#(slug)","executed":"no"}"#, headers: [("Retry-After", "1")])
    }

    @Test func everybodyIsAskedOnceWithTheirOwnRequestID() throws {
        gateway.behave { _ in Self.receipt }
        let ids = (0..<50).map { "sub \($0)" }
        let summary = try run(ids, concurrency: 8).run()
        #expect(summary.charged == 50 && summary.notAsked == 0 && summary.exitStatus == 0)
        let expected = ids.map {
            "/subscription/\($0.replacing(" ", with: "%20"))/charge/"
                + RunRequestID.of(period: "2026-11", subscription: $0)
        }
        #expect(gateway.requests.map(\.target).sorted() == expected.sorted())
    }

    @Test func whatWasNotExecutedIsSentAgainWithTheSameID() throws {
        gateway.behave { $0.times <= 2 ? Self.notExecuted("platform-busy") : Self.receipt }
        let summary = try run(["a"]).run()
        #expect(summary.charged == 1 && summary.exitStatus == 0)
        #expect(gateway.requests.map(\.requestID) == Array(repeating: "run:2026-11:a", count: 3))
    }

    @Test func butNotForEver() throws {
        gateway.behave { _ in Self.notExecuted("platform-unreachable") }
        let summary = try run(["a"]).run()
        #expect(summary.unreachable == 1 && summary.exitStatus == 1)
        #expect(try json(summary)["unreachable_subscriptions"]?.elements.compactMap(\.string) == ["a"])
        #expect(summary.text(isResent: true).contains("Unreachable:\n  a\n"))
        #expect(gateway.requests.count == 4)
    }

    @Test("a doubt that was not taken is sent again as well, and stays unknown")
    func doubtsThatWereNotTaken() throws {
        let busy = PlatformBehaviour.answer(
            503, #"{"type":"/problems/platform-busy","executed":"unknown","outcome":"unknown"}"#,
            headers: [("Retry-After", "1")])
        gateway.behave { $0.times <= 2 || $0.requestID.hasSuffix(":b") ? busy : Self.receipt }
        let summary = try run(["a", "b"]).run()
        #expect(summary.charged == 1 && summary.unknownSubscriptions == ["b"] && summary.exitStatus == 1)
        #expect(gateway.requests.count == 3 + 4)
    }

    @Test func anotherRequestAtWorkIsWaitedFor() throws {
        let busy = PlatformBehaviour.answer(
            409, #"{"type":"/problems/charge-in-progress"}"#, headers: [("Retry-After", "1")])
        gateway.behave { $0.times == 1 ? busy : Self.receipt }
        #expect(try run(["a"]).run().charged == 1)
    }

    @Test("a doubt is asked about once in a run", arguments: [500, 502, 504])
    func doubts(status: Int) throws {
        gateway.behave { _ in .answer(status, "{}", headers: [("Retry-After", "1")]) }
        let summary = try run(["a", "b"]).run()
        #expect(summary.unknownSubscriptions.sorted() == ["a", "b"] && summary.exitStatus == 1)
        #expect(gateway.requests.count == 2)
    }

    @Test func theEndOfTheMonthEndsTheRun() throws {
        gateway.behave { _ in .answer(200, #"{"period":"2026-12"}"#) }
        let summary = try run((0..<20).map(String.init), concurrency: 1).run()
        #expect(summary.stopped == .monthEnded && summary.notAsked == 19 && summary.exitStatus == 1)
        #expect(
            summary.charged == 0 && summary.text(isResent: true).contains("1 charged for another month than 2026-11"))
        #expect(try json(summary)["other_month"]?.integer == 1)
    }

    @Test("what waits to be sent again is not sent in the next month")
    func theMonthEndsDuringAPause() throws {
        gateway.behave { _ in Self.notExecuted("platform-busy") }
        let summary = try run(["a"]) { [gateway] in gateway.requests.isEmpty ? "2026-11" : "2026-12" }.run()
        #expect(summary.stopped == .monthEnded && summary.unreachable == 1)
        #expect(gateway.requests.count == 1)
    }

    @Test("what the platform refuses for another reason than the customer, or the gateway, is rejected and named")
    func rejections() throws {
        let notFound = #"{"type":"/problems/charge-declined","platform":{"status":404,"body":""}}"#
        gateway.behave { $0.requestID.hasSuffix(":a") ? .answer(402, notFound) : .answer(405, "{}") }
        let ids = ["a"] + (0..<20).map { "b\($0)" }
        let summary = try run(ids, concurrency: 1).run()
        #expect(summary.asked == 21 && summary.declined == 0 && summary.refused == 0 && summary.exitStatus == 1)
        #expect(summary.reasons == ["platform-404": 1, "status 405": 20])
        #expect(gateway.requests.count == 21, "sent once, and no outage")
        #expect(try json(summary)["rejected_subscriptions"]?.elements.compactMap(\.string) == ids.sorted())
        let text = summary.text(isResent: true)
        #expect(text.contains("21 rejected: ") && text.contains("1 × platform-404") && text.contains("\n  b19\n"))
    }

    @Test func theReceiptOfTheLongestOrderIsRead() throws {
        let order = String(repeating: "x", count: HTTPClient.responseLimit)
        gateway.behave { _ in .answer(200, #"{"period":"2026-11","order":"\#(order)"}"#) }
        #expect(try run(["a"]).run().charged == 1)
    }

    func json(_ summary: RunSummary) throws -> TestJSON {
        try TestJSON(parsing: String(decoding: JSONEncoder().encode(summary), as: UTF8.self))
    }

    @Test("a request id that another charge has used ends the run when the month is over, and is no success else")
    func usedRequestIDs() throws {
        gateway.behave { _ in .answer(422, #"{"type":"/problems/request-id-reused"}"#) }
        let used = try run((0..<20).map(String.init), concurrency: 1).run()
        #expect(used.asked == 20 && used.refused == 0 && used.stopped == nil && used.exitStatus == 1)
        #expect(used.reasons == ["request-id-reused": 20])
        #expect(used.text(isResent: true).contains("name one of your own"))
        #expect(Set(gateway.requests.map(\.requestID)).count == 40, "each is sent with two ids, once")
        let months = Lock(["2026-11"])
        let over = try run((0..<20).map(String.init), concurrency: 1) { months.withLock { $0.popLast() ?? "2026-12" } }
        let summary = over.run()
        #expect(summary.stopped == .monthEnded && summary.asked == 1 && summary.exitStatus == 1)
        #expect(gateway.requests.count == 41, "nothing is sent for a month that is over")
    }

    @Test func whoseRequestIDIsAnothersIsChargedByASecondOne() throws {
        gateway.behave {
            $0.requestID.hasPrefix("run:") ? .answer(422, #"{"type":"/problems/request-id-reused"}"#) : Self.receipt
        }
        for _ in 1...2 { #expect(try run(["a"]).run().charged == 1) }
        let sent = gateway.requests.map(\.requestID)
        #expect(sent.count == 4 && sent[0] != sent[1] && sent[2...] == sent[..<2], "\(sent)")
    }

    @Test("the month is looked at before the first charge, and a look that fails stops nothing")
    func looks() throws {
        gateway.behave { _ in Self.receipt }
        #expect(try run(["a"]) { "2026-12" }.run().stopped == .monthEnded)
        #expect(gateway.requests.isEmpty)
        #expect(try run(["a"]) { throw OperationError("no database") }.run().charged == 1)
    }

    @Test("a run that gets nothing through gives up, in doubt or not", arguments: ["", #","outcome":"unknown""#])
    func aRunThatGetsNothingThroughGivesUp(rest: String) throws {
        gateway.behave { _ in .answer(502, #"{"type":"/problems/platform-refused-us"\#(rest)}"#) }
        let summary = try run((0..<100).map(String.init), concurrency: 2).run()
        #expect(summary.stopped == .unreachable && summary.notAsked > 0 && summary.exitStatus == 1)
        #expect(gateway.requests.count < 10)
    }

    @Test func aRunThatGetsSomeThroughGoesOn() throws {
        gateway.behave {
            $0.ordinal % 2 == 0 ? .answer(502, #"{"type":"/problems/platform-refused-us"}"#) : Self.receipt
        }
        let summary = try run((0..<10).map(String.init), concurrency: 1).run()
        #expect(summary.stopped == nil && summary.unreachable == 5 && summary.charged == 5)
    }

    @Test func aStopLetsWhatIsInHandEnd() throws {
        let gate = Gate()
        gateway.behave { _ in PlatformBehaviour(acts: false, before: .until(gate), reply: Self.receipt.reply) }
        let stopped = try run((0..<20).map(String.init), concurrency: 3)
        let result = Background { stopped.run() }
        try gateway.waitForRequests(3)
        stopped.stop()
        gate.open()
        let summary = try result.value()
        #expect(summary.charged == 3 && summary.notAsked == 17 && summary.exitStatus == 130)
    }

    @Test func theListComesInPages() throws {
        let all = (0..<7000).map { String(format: "s%05d é", $0) }
        gateway.behave { request in
            let query = URLComponents(string: "http://x" + request.target)?.queryItems ?? []
            func value(_ name: String) -> String? { query.first { $0.name == name }?.value }
            let after = value("after") ?? ""
            let page = all.filter { $0 > after }.prefix(value("limit").flatMap { Int($0) } ?? 0)
            return .answer(200, "[" + page.map { "\"\($0)\"" }.joined(separator: ",") + "]")
        }
        let client = try GatewayClient(base: "http://127.0.0.1:\(gateway.port)/")
        #expect(try client.eligible(limit: nil) == all)
        #expect(try client.eligible(limit: 6000) == Array(all.prefix(6000)))
        gateway.behave { _ in .answer(404, "nothing here") }
        #expect(throws: OperationError.self) { try client.eligible(limit: nil) }
        gateway.behave { _ in .answer(200, "<!doctype html>") }
        let other = #expect(throws: OperationError.self) { try client.eligible(limit: nil) }
        #expect(other?.description.contains("http://127.0.0.1:\(gateway.port) is not this shop's gateway") == true)
        #expect(throws: OperationError.self) { try GatewayClient(base: "ftp://x") }
    }
}
