import Glibc
import TestSupport
import Testing

@testable import Runtime

/// Gives requests and keeps the answers, as a transport that no process and no socket is behind.
private struct MemoryTransport: Transport, ~Copyable {
    var requests: [Request]
    var answers: [HTTPResponse] = []
    var bodies: [[UInt8]] = []
    /// Whether the client is gone when an answer comes.
    var isClientGone = false

    init(_ requests: [Request]) { self.requests = requests }

    mutating func next() -> Request? { requests.isEmpty ? nil : requests.removeFirst() }

    mutating func send(_ response: HTTPResponse, withBody: Bool) throws {
        if isClientGone { throw ClientGone() }
        var sending = ResponseSending()
        let output = Lock([UInt8]())
        let keep: (UnsafeRawBufferPointer) -> Void = { piece in output.withLock { $0.append(contentsOf: piece) } }
        defer {
            if sending.hasBegun {
                answers.append(response)
                bodies.append(output.withLock { $0 })
            }
        }
        try sending.send(response, withBody: withBody, write: keep)
    }
}

private struct Failure: Error {}

/// Does what the path says.
private struct Scripted: HTTPFunction {
    let calls = Lock(0)

    init(_ settings: Settings) {}

    /// Answers that the gateway cannot pass on, and those without a body, which it can.
    static let unusual: [String: HTTPResponse] = [
        "0": .text("", status: 0), "100": .text("", status: 100), "199": .text("", status: 199),
        "600": .text("", status: 600), "1000": .text("", status: 1000), "-200": .text("", status: -200),
        "nul": .text("").with(header: "X-A", "1\u{0}2"), "line-in-value": .text("").with(header: "X-A", "1\r\nX-B: 2"),
        "delete": .text("").with(header: "X-A", "\u{7F}"), "line-in-name": .text("").with(header: "X-A: 1\r\nX-B", "2"),
        "space-in-name": .text("").with(header: "X A", "1"), "no-name": .text("").with(header: "", "1"),
        "letter-in-name": .text("").with(header: "X-é", "1"),
        "long": .text("").with(header: "X-A", String(repeating: "x", count: 20_000)),
        "204-with-body": .text("x", status: 204), "304-with-body": .text("x", status: 304),
        "204": HTTPResponse(status: 204), "304": HTTPResponse(status: 304).with(header: "ETag", "\"é\t1\""),
        "204-with-stream": HTTPResponse(status: 204, body: .stream { try $0.write("x") }),
        "499": .text("", status: 499), "599": .text("", status: 599),
    ]

    func handle(_ event: HTTPEvent, _ context: Context) throws -> HTTPResponse {
        calls.withLock { $0 += 1 }
        switch try event.path("what") {
        case "throw": throw Failure()
        case "gone": throw ClientGone()
        case "stream":
            return HTTPResponse(
                body: .stream { writer in
                    try writer.write("one")
                    try writer.write("two")
                })
        case "stream-fails-before": return HTTPResponse(body: .stream { _ in throw Failure() })
        case "stream-refuses-before":
            return HTTPResponse(
                body: .stream { _ in throw Problem("full", status: 503, title: "Full", detail: "Full") }
            )
        case "stream-fails-inside":
            return HTTPResponse(
                body: .stream { writer in
                    try writer.write("half")
                    throw Failure()
                })
        case let other: return Self.unusual[other] ?? .text(other)
        }
    }
}

@Suite struct InvokerTests {
    private let function = Scripted(Settings([:]))

    private func serve(
        _ targets: [String], timeoutMilliseconds: Int = 60_000, isClientGone: Bool = false,
        prepare: (inout Request) -> Void = { _ in }
    ) throws -> (answers: [HTTPResponse], bodies: [String]) {
        let requests = targets.map { target in
            var request = Request()
            request.take(uri: target)
            prepare(&request)
            return request
        }
        let invoker = Invoker(
            function: function,
            process: .init(
                function: "scripted", routes: [try #require(RouteTemplate("GET /do/{what}"))],
                timeoutMilliseconds: timeoutMilliseconds, concurrency: 1))
        var transport = MemoryTransport(requests)
        transport.isClientGone = isClientGone
        invoker.serve(&transport)
        return (transport.answers, transport.bodies.map { String(decoding: $0, as: UTF8.self) })
    }

    private func header(_ name: String, _ response: HTTPResponse) -> String? {
        response.headers.first { $0.name == name }?.value
    }

    @Test func oneThrowTakesNoOthersAnswer() throws {
        let (answers, bodies) = try serve(["/do/a", "/do/throw", "/do/b"])
        #expect(answers.map(\.status) == [200, 500, 200])
        #expect(bodies[2].hasSuffix("\r\n\r\nb"))
        #expect(!bodies[1].contains("Failure"))
        #expect(bodies[1].contains("/problems/internal-error"))
    }

    @Test func anAnswerCarriesTheRequestID() throws {
        let (answers, _) = try serve(["/do/a", "/none"]) { $0.headers["x-request-id"] = "sane-1" }
        #expect(answers.map { header("X-Request-Id", $0) } == ["sane-1", "sane-1"])
        let (others, bodies) = try serve(["/none"]) { $0.headers["x-request-id"] = "in sane" }
        let made = try #require(header("X-Request-Id", others[0]))
        #expect(Identifier.isValidRequestID(made) && made != "in sane")
        #expect(bodies[0].contains("urn:request:\(made)"))
    }

    @Test func anAnswerCarriesTheTrace() throws {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        let (answers, _) = try serve(["/do/a", "/none", "/do/throw"]) { $0.headers["traceparent"] = trace }
        #expect(answers.map { header("traceparent", $0) } == [trace, trace, trace])
        let made = try serve(["/do/a"]) { $0.headers["traceparent"] = "00-0-0-00" }.answers
        #expect(Identifier.isTraceparent(header("traceparent", made[0]) ?? ""))
    }

    @Test(arguments: Scripted.unusual.keys.sorted())
    func anAnswerThatCannotBePassedOnIsAnInternalError(_ what: String) throws {
        var result: (answers: [HTTPResponse], bodies: [String]) = ([], [])
        let log = try StandardError.captured {
            result = try serve(["/do/\(what)"]) { $0.headers["x-request-id"] = "unusual-\(what)" }
        }
        let line = try TestJSON(
            parsing: String(try #require(log.split(separator: "\n").first { $0.contains("unusual-\(what)") })))
        let body = try #require(result.bodies.first)
        let isWithoutBody = ["204", "304", "204-with-stream"].contains(what)
        if isWithoutBody || ["499", "599"].contains(what) {
            #expect(body.hasPrefix("Status: \(what.prefix(3)) ") && body.hasSuffix("\r\n\r\n"))
            #expect(body.contains("Content-Length") != isWithoutBody)
            #expect(line["status"]?.integer == Int(what.prefix(3)) && line["error"] == nil)
        } else {
            #expect(body.hasPrefix("Status: 500 ") && body.contains("/problems/internal-error"))
            #expect(!body.contains("X-A") && !body.contains("X-B"))
            #expect(line["status"]?.integer == 500 && line["level"]?.string == "error")
            #expect(line["error"]?.string?.hasPrefix("the function's answer has ") == true)
        }
    }

    @Test func aStreamThatFailsBeforeItsFirstByteIsAProblem() throws {
        let (answers, bodies) = try serve(["/do/stream-fails-before", "/do/stream-refuses-before", "/do/stream"])
        #expect(answers.map(\.status) == [500, 503, 200])
        #expect(bodies[2].hasSuffix("onetwo"))
    }

    @Test func headOfAStreamIsWhatGetWouldBegin() throws {
        let (answers, bodies) = try serve(
            ["/do/stream-fails-before", "/do/stream-refuses-before", "/do/stream", "/do/stream-fails-inside"]
        ) { $0.method = "HEAD" }
        #expect(answers.map(\.status) == [500, 503, 200, 200])
        #expect(bodies.allSatisfy { $0.hasPrefix("Status: ") && $0.hasSuffix("\r\n\r\n") })
    }

    @Test func aStreamThatFailsInTheMiddleIsNotAnsweredASecondTime() throws {
        let (answers, bodies) = try serve(["/do/stream-fails-inside", "/do/after"])
        #expect(answers.count == 2)
        #expect(bodies[0].hasSuffix("half"))
        #expect(bodies[1].hasSuffix("after"))
    }

    @Test func aStreamThatFailsInTheMiddleIsLoggedAsAnError() throws {
        let log = try StandardError.captured {
            _ = try serve(["/do/stream-fails-inside"]) { $0.headers["x-request-id"] = "broken-off-1" }
        }
        let line = try #require(log.split(separator: "\n").first { $0.contains("broken-off-1") })
        #expect(try TestJSON(parsing: String(line))["level"]?.string == "error")
    }

    @Test func nobodyIsAnsweredWhoHasLeft() throws {
        #expect(try serve(["/do/a", "/do/b"]) { $0.isAbandoned = { true } }.answers.isEmpty)
        #expect(function.calls.withLock { $0 } == 0)
        #expect(try serve(["/do/gone"]).answers.isEmpty)
        #expect(try serve(["/do/a"], isClientGone: true).answers.isEmpty)
    }

    @Test func whatWaitedLongerThanItsTimeIsNotExecuted() throws {
        let (answers, bodies) = try serve(["/do/a"]) {
            $0.startedEpochMilliseconds = Clock.epochMilliseconds() - 60_000
        }
        #expect(answers.map(\.status) == [503])
        #expect(bodies[0].contains(#""executed":"no""#))
        #expect(header("Retry-After", answers[0]) == "1")
        #expect(function.calls.withLock { $0 } == 0)
        // A gateway whose clock is ahead of ours, or behind it, is no reason to refuse.
        for difference in [3_600_000, -3_600_000] {
            let other = try serve(["/do/a"]) {
                $0.startedEpochMilliseconds = Clock.epochMilliseconds() + difference
            }
            #expect(other.answers.map(\.status) == [200])
        }
    }

    @Test func aFaultOfTheRequestKeepsTheHandlerFromRunning() throws {
        let (answers, _) = try serve(["/do/a"]) { $0.fault = Request.bodyFault(announced: "5", read: 4) }
        #expect(answers.map(\.status) == [400])
        #expect(function.calls.withLock { $0 } == 0)
    }

    @Test func aPathThatCannotBeDecodedIsABadRequest() throws {
        for target in ["/do/%00", "/do/%ff", "/do/%", "/do/a%0"] {
            let (answers, bodies) = try serve([target])
            #expect(answers.map(\.status) == [400], "\(target)")
            #expect(bodies[0].contains(#""pointer":"/path/what""#))
        }
        #expect(try serve(["/do/%2541"]).bodies[0].hasSuffix("%41"))
        #expect(try serve(["/do/a%2Fb?x=/"]).bodies[0].hasSuffix("a/b"))
        #expect(function.calls.withLock { $0 } == 2)
    }

    @Test func bytesThatAreNoUTF8AreSentAsTheirEscapesWouldBe() throws {
        var request = Request()
        let name = Array("REQUEST_URI".utf8)
        let target = Array("/do/a\u{E9}".utf8) + [0xFF] + Array("?after=%41".utf8) + [0xFF, 0]
        name.withUnsafeBufferPointer { name in
            target.withUnsafeBufferPointer { target in
                if let start = target.baseAddress { request.take(variable: name, value: start) }
            }
        }
        #expect(request.rawQuery == "after=%41%ff")
        let (answers, bodies) = try serve(["/"]) { $0.rawPath = request.rawPath }
        #expect(answers.map(\.status) == [400])
        #expect(bodies[0].contains(#""pointer":"/path/what""#))
    }

    @Test(arguments: ["inf", "-inf", "nan", "1e400", "1e300", "-1e300", "9223372036854775807", "x", "", "0x7", "-5"])
    func takesAnyStartTimeOfAGateway(_ text: String) throws {
        var request = Request()
        var name = "REQUEST_START"
        var value = text + "\0"
        name.withUTF8 { name in
            value.withUTF8 { value in
                if let start = value.baseAddress { request.take(variable: name, value: start) }
            }
        }
        #expect(
            try !serve(["/do/a"]) { $0.startedEpochMilliseconds = request.startedEpochMilliseconds }.answers.isEmpty)
    }
}
