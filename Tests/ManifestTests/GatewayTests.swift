import TestSupport
import Testing

@testable import Manifest

/// What the rendered configuration makes a real nginx do, with stubs in place of functions.
@Suite struct GatewayTests {
    private let gateway: TestGateway

    init() throws {
        gateway = try TestGateway(
            Manifest.parse(
                """
                functions:
                  reader:
                    handler: Things/Reader
                    events:
                      - httpApi: {method: GET, path: /things/, cors: true}
                      - httpApi: {method: GET, path: "/things/{id}", cors: true}
                      - httpApi: GET /things/new
                  writer:
                    handler: Things/Writer
                    reservedConcurrency: 1
                    timeout: 1
                    events:
                      - httpApi: POST /things
                      - httpApi: POST /things/{id}/parts/{part}/
                      - httpApi: DELETE /things/{id}
                """, file: "functions.yml"))
    }

    /// The answer must be a whole problem, with an id that is the header's.
    private func problem(_ answer: HTTPProbe.Response, _ status: Int, _ slug: String) throws -> ProblemDocument {
        #expect(answer.status == status)
        #expect(answer.values("content-type") == ["application/problem+json"])
        #expect(answer.values("cache-control") == ["no-store"])
        #expect(answer.values("x-content-type-options") == ["nosniff"])
        #expect(answer.values("server") == ["nginx"])
        let problem = try ProblemDocument(answer)
        #expect(problem.status == status)
        #expect(problem.type == "/problems/\(slug)")
        #expect(!problem.title.isEmpty && !problem.detail.isEmpty)
        #expect(answer.values("x-request-id").map { "urn:request:\($0)" } == [problem.instance])
        return problem
    }

    @Test(arguments: ["/", "/nothing", "/things/1/2", "/things%0a", "/_problem", "/_no_answer", "/_cross_origin"])
    func nothingThere(_ path: String) throws {
        let answer = try gateway.send("GET", path)
        #expect(try problem(answer, 404, "not-found").executed == nil)
        #expect(answer.values("allow").isEmpty)
    }

    @Test func finalNewlineDoesNotMatch() throws {
        let stub = try gateway.stub("writer", .answers())
        #expect(try gateway.send("POST", "/things/1/parts/2/%0a", body: "{}").status == 404)
        #expect(stub.requests.isEmpty)
    }

    @Test(arguments: [
        ("PUT", "/things", "GET, HEAD, POST, OPTIONS"),
        ("PATCH", "/things/", "GET, HEAD, POST, OPTIONS"),
        ("POST", "/things/5", "GET, HEAD, DELETE, OPTIONS"),
        ("GET", "/things/1/parts/2", "POST"),
        ("OPTIONS", "/things/1/parts/2", "POST"),
        ("PROPFIND", "/things", "GET, HEAD, POST, OPTIONS"),
        ("TRACE", "/things", "DELETE, GET, HEAD, POST"),
    ])
    func wrongMethod(_ method: String, _ path: String, _ allow: String) throws {
        let answer = try gateway.send(method, path)
        _ = try problem(answer, 405, "method-not-allowed")
        #expect(answer.values("allow") == [allow])
    }

    @Test func bodyLimit() throws {
        let stub = try gateway.stub("writer", .answers(body: "fits"))
        #expect(try gateway.send("POST", "/things", body: String(repeating: "x", count: 65_536)).text == "fits")
        let over = String(repeating: "x", count: 65_537)
        _ = try problem(gateway.send("POST", "/things", body: over), 413, "payload-too-large")
        let chunked = "10001\r\n\(over)\r\n0\r\n\r\n"
        let head = "POST /things HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        _ = try problem(gateway.send(raw: head + chunked), 413, "payload-too-large")
        #expect(stub.requests.count == 1)
    }

    @Test("a page on another origin can read why its body was refused, whether its length was announced or not")
    func bodyLimitAcrossOrigins() throws {
        let stub = try gateway.stub("reader", .answers())
        let over = String(repeating: "x", count: 65_537)
        let head = "GET /things HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        for answer in [
            try gateway.send("GET", "/things", body: over),
            try gateway.send(raw: head + "10001\r\n\(over)\r\n0\r\n\r\n"),
        ] {
            _ = try problem(answer, 413, "payload-too-large")
            #expect(answer.values("access-control-allow-origin") == ["*"])
            #expect(answer.values("access-control-expose-headers").count == 1)
        }
        #expect(stub.requests.isEmpty)
    }

    @Test("a page on another origin can read why a request was refused before its route was known")
    func malformedAcrossOrigins() throws {
        let long = String(repeating: "x", count: 9000)
        for (answer, status) in [
            (try gateway.send("GET", "/things/%00"), 400), (try gateway.send("GET", "/" + long), 414),
            (try gateway.send("GET", "/things", headers: ["X-Long: \(long)"]), 431),
            (try gateway.send("GET", "/things", headers: ["Transfer-Encoding: x"]), 501),
        ] {
            #expect(answer.status == status)
            #expect(answer.values("access-control-allow-origin") == ["*"], "\(status)")
        }
    }

    @Test func brokenChunks() throws {
        let head = "POST /things HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        let answer = try gateway.send(raw: head + "no length\r\n\r\n")
        #expect(try problem(answer, 400, "bad-request").detail.contains("the chunks of the body"))
    }

    @Test("a limit that an operator sets in front tells the client when to come again")
    func tooManyRequests() throws {
        let limited = try TestGateway(
            manifest(events: "- httpApi: GET /x"), locations: "location = /limited { return 429; }")
        let answer = try limited.send("GET", "/limited")
        _ = try problem(answer, 429, "too-many-requests")
        #expect(answer.values("retry-after") == ["5"])
    }

    @Test func malformed() throws {
        _ = try problem(gateway.send("GET", "/" + String(repeating: "x", count: 9000)), 414, "uri-too-long")
        let long = String(repeating: "x", count: 9000)
        _ = try problem(gateway.send("GET", "/things", headers: ["X-Long: \(long)"]), 431, "headers-too-large")
        _ = try problem(gateway.send(raw: "nonsense\r\n\r\n"), 400, "bad-request")
        _ = try problem(gateway.send(raw: "GET /things HTTP/1.1\r\nConnection: close\r\n\r\n"), 400, "bad-request")
        _ = try problem(gateway.send("GET", "/things/%00"), 400, "bad-request")
        _ = try problem(gateway.send("POST", "/things", headers: ["Transfer-Encoding: x"]), 501, "not-implemented")
        _ = try problem(gateway.send(raw: "GET / HTTP/3.0\r\n\r\n"), 505, "http-version-not-supported")
    }

    @Test func notReached() throws {
        let answer = try gateway.send("GET", "/things", headers: ["X-Request-Id: no-socket"])
        #expect(try problem(answer, 503, "unavailable").executed == "no")
        #expect(answer.values("retry-after") == ["1"])
        #expect(answer.values("access-control-allow-origin") == ["*"])
        let line = try gateway.logLine(containing: "no-socket")
        #expect(line.contains("\"status\":503,") && line.contains("\"upstream_connect_time\":\"-\""))
    }

    @Test func diedWhileItRan() throws {
        let stub = try gateway.stub("reader", .dies)
        let answer = try gateway.send("GET", "/things/1")
        #expect(try problem(answer, 502, "bad-gateway").executed == "unknown")
        #expect(answer.values("retry-after").isEmpty)
        #expect(stub.requests.count == 1)
    }

    @Test func anAnswerThatBreaksOffIsNotTakenForAWholeOne() throws {
        let stub = try gateway.stub("reader", .breaksOff(body: "[1,2"))
        let exchange = try HTTPProbe(port: gateway.port).send("GET", "/things/1")
        #expect(throws: BrokenMessage.self) { try exchange.answer() }
        #expect(stub.requests.count == 1)
    }

    @Test func tooSlow() throws {
        let stub = try gateway.stub("writer", .hangs)
        let answer = try gateway.send("POST", "/things")
        #expect(try problem(answer, 504, "timeout").executed == "unknown")
        #expect(answer.values("retry-after") == ["5"])
        #expect(stub.requests.count == 1)
    }

    @Test func tooMany() throws {
        // Longer than this test lasts: who is held holds a place.
        let crowded = try TestGateway(
            manifest("timeout: 300", "reservedConcurrency: 1", events: "- httpApi: POST /things"))
        let stub = try crowded.stub("f", .hangs)
        // max_conns is eight times the concurrency, and counts for all of nginx's workers.
        let request = "POST /things HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        let held = try (0..<8).map { _ in try crowded.open(raw: request) }
        defer { held.forEach { $0.leave() } }
        try Eventually.happens("eight requests at the function") { stub.requests.count == 8 }
        #expect(try problem(crowded.send("POST", "/things"), 503, "unavailable").executed == "no")
    }

    @Test func methodsOfOnePathGoToTheirOwnFunctions() throws {
        let reader = try gateway.stub("reader", .answers(body: "read"))
        let writer = try gateway.stub("writer", .answers("Status: 201 Created\r\n", body: "written"))
        for path in ["/things", "/things/"] {
            #expect(try gateway.send("GET", path).text == "read")
            #expect(try gateway.send("POST", path, body: "{}").text == "written")
        }
        let head = try gateway.send("HEAD", "/things")
        #expect(head.status == 200 && head.body.isEmpty)
        #expect(reader.requests.map { $0["REQUEST_METHOD"] } == ["GET", "GET", "HEAD"])
        #expect(writer.requests.map { $0["REQUEST_URI"] } == ["/things", "/things/"])
        // A literal segment goes before a parameter, but only for its own methods.
        #expect(try gateway.send("GET", "/things/new").text == "read")
        #expect(try gateway.send("DELETE", "/things/new/").text == "written")
        #expect(try gateway.send("POST", "/things/a%20b/parts/%C3%A9").status == 201)
    }

    @Test func preflight() throws {
        let answer = try gateway.send("OPTIONS", "/things", headers: ["Origin: http://shop.example"])
        #expect(answer.status == 204 && answer.body.isEmpty)
        #expect(answer.values("access-control-allow-origin") == ["*"])
        #expect(answer.values("access-control-allow-methods") == ["GET, HEAD"])
        #expect(
            answer.values("access-control-allow-headers")
                == ["content-type, x-request-id, traceparent, idempotency-key, if-match"])
        #expect(answer.values("access-control-max-age") == ["3600"])
        #expect(answer.values("x-request-id").count == 1)
    }

    @Test(
        "without cors, what changes something is refused to pages of other origins: browsers hide only the answer",
        arguments: [("POST", "/things"), ("POST", "/things/1/parts/2"), ("DELETE", "/things/new/")],
        ["cross-site", "same-site"])
    func crossOrigin(_ call: (method: String, path: String), _ site: String) throws {
        let stub = try gateway.stub("writer", .answers())
        let answer = try gateway.send(call.method, call.path, headers: ["Sec-Fetch-Site: \(site)"])
        _ = try problem(answer, 403, "cross-origin")
        #expect(answer.values("access-control-allow-origin").isEmpty)
        #expect(stub.requests.isEmpty)
        for own in ["same-origin", "none"] {
            #expect(try gateway.send(call.method, call.path, headers: ["Sec-Fetch-Site: \(own)"]).status == 200)
        }
        #expect(try gateway.send(call.method, call.path).status == 200)
        #expect(stub.requests.count == 3)
    }

    @Test("with cors, and for what changes nothing, every page may send", arguments: ["cross-site", "same-site"])
    func crossOriginAllowed(_ site: String) throws {
        let stub = try gateway.stub("reader", .answers())
        for (method, path) in [("GET", "/things"), ("HEAD", "/things/new"), ("GET", "/things/new")] {
            #expect(try gateway.send(method, path, headers: ["Sec-Fetch-Site: \(site)"]).status == 200)
        }
        #expect(try gateway.send("OPTIONS", "/things", headers: ["Sec-Fetch-Site: \(site)"]).status == 204)
        #expect(stub.requests.count == 3)
        let open = try TestGateway(manifest(events: "- httpApi: {method: POST, path: /x, cors: true}"))
        let written = try open.stub("f", .answers())
        #expect(try open.send("POST", "/x", headers: ["Sec-Fetch-Site: \(site)"]).status == 200)
        #expect(written.requests.count == 1)
    }

    @Test func corsIsForItsOwnRoutesOnly() throws {
        let reader = try gateway.stub("reader", .answers(body: "read"))
        let writer = try gateway.stub("writer", .answers(body: "written"))
        #expect(try gateway.send("GET", "/things").values("access-control-allow-origin") == ["*"])
        #expect(try gateway.send("GET", "/things").values("access-control-allow-methods").isEmpty)
        #expect(
            try gateway.send("GET", "/things").values("access-control-expose-headers")
                == ["x-request-id, traceparent, location, link, etag, retry-after, idempotent-replayed"])
        #expect(try gateway.send("POST", "/things").values("access-control-allow-origin").isEmpty)
        #expect(try gateway.send("GET", "/things/new").values("access-control-allow-origin").isEmpty)
        #expect(reader.requests.count == 4 && writer.requests.count == 1)
    }
}
