import TestSupport
import Testing

@testable import Manifest

/// Headers that the gateway takes, drops, adds and writes into its log.
@Suite struct GatewayHeaderTests {
    private let gateway: TestGateway

    init() throws {
        gateway = try TestGateway(manifest(events: "- httpApi: POST /x"))
    }

    private func answering(_ headers: String = "") throws -> StubFunction {
        try gateway.stub("f", .answers("Status: 200 OK\r\n\(headers)"))
    }

    @Test(arguments: ["a", "A.b_c-9", String(repeating: "i", count: 128)])
    func saneRequestIdIsKept(_ id: String) throws {
        let stub = try answering("X-Request-Id: another\r\n")
        let answer = try gateway.send("POST", "/x", headers: ["X-Request-Id: \(id)"])
        #expect(answer.values("x-request-id") == [id])
        #expect(stub.requests.map { $0["HTTP_X_REQUEST_ID"] } == [id])
    }

    @Test(arguments: ["", "a b", "a:b", "\"", "é", String(repeating: "i", count: 129)])
    func otherRequestIdIsReplaced(_ id: String) throws {
        let stub = try answering()
        let answer = try gateway.send("POST", "/x", headers: ["X-Request-Id: \(id)"])
        let made = try #require(answer.values("x-request-id").first)
        #expect(made.wholeMatch(of: /[0-9a-f]{32}/) != nil)
        #expect(stub.requests.map { $0["HTTP_X_REQUEST_ID"] } == [made])
        #expect(try gateway.send("POST", "/nowhere", headers: ["X-Request-Id: \(id)"]).values("x-request-id") != [id])
    }

    private static let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    @Test func aTraceIsInTheGatewaysOwnAnswersAndOnceInAFunctions() throws {
        let header = ["traceparent: \(Self.trace)"]
        let open = try TestGateway(manifest(events: "- httpApi: {method: POST, path: /x, cors: true}"))
        for (method, path, status) in [
            ("GET", "/nowhere", 404), ("PUT", "/x", 405), ("OPTIONS", "/x", 204), ("POST", "/x", 503),
        ] {
            let answer = try open.send(method, path, headers: header)
            #expect(answer.status == status && answer.values("traceparent") == [Self.trace], "\(method) \(path)")
            #expect(try open.send(method, path).values("traceparent").isEmpty)
        }
        let own = Self.trace.replacing("00f067", with: "11f067")
        let stub = try answering("traceparent: \(own)\r\n")
        #expect(try gateway.send("POST", "/x", headers: header).values("traceparent") == [own])
        #expect(stub.requests.map { $0["HTTP_TRACEPARENT"] } == [Self.trace])
    }

    @Test(arguments: [
        "01" + trace.dropFirst(2), trace.uppercased(), trace + "-x", String(trace.dropLast()),
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
    ])
    func aBrokenTraceIsNotEchoed(_ trace: String) throws {
        #expect(try gateway.send("GET", "/nowhere", headers: ["traceparent: \(trace)"]).values("traceparent").isEmpty)
    }

    @Test func headersThatPoseAsOthersAreDropped() throws {
        let stub = try answering()
        _ = try gateway.send(
            "POST", "/x?a=%2F", headers: ["X_Header: 1", "X_Request_Id: forged", "Proxy: evil:1", "X-Kept: yes"],
            body: "{\"a\":1}")
        let request = try #require(stub.requests.first)
        #expect(request["HTTP_X_HEADER"] == nil)
        #expect(request["HTTP_X_REQUEST_ID"] != "forged")
        #expect(request["HTTP_PROXY"] == nil)
        #expect(request["HTTP_X_KEPT"] == "yes")
        #expect(request["REQUEST_METHOD"] == "POST")
        #expect(request["REQUEST_URI"] == "/x?a=%2F")
        #expect(request["CONTENT_LENGTH"] == "7")
        #expect(request["REMOTE_ADDR"] == "127.0.0.1")
        #expect(request["SERVER_PROTOCOL"] == "HTTP/1.1")
        #expect(request["REQUEST_START"]?.wholeMatch(of: /\d+\.\d{3}/) != nil)
        #expect(request["BODY"] == "{\"a\":1}")
        #expect(request["KEPT"] == "0")
    }

    @Test func cachingIsTheFunctionsToAllow() throws {
        let plain = try answering()
        #expect(try gateway.send("POST", "/x").values("cache-control") == ["no-store"])
        #expect(plain.requests.count == 1)
    }

    @Test func cachingThatTheFunctionAllows() throws {
        let cached = try answering("Cache-Control: max-age=60\r\n")
        #expect(try gateway.send("POST", "/x").values("cache-control") == ["max-age=60"])
        #expect(cached.requests.count == 1)
    }

    @Test func theFunctionsOwnRefusalPasses() throws {
        let stub = try gateway.stub(
            "f", .answers("Status: 404 Not Found\r\nRetry-After: 7\r\n", body: "{}"))
        let answer = try gateway.send("POST", "/x")
        #expect(answer.status == 404 && answer.text == "{}")
        #expect(answer.values("retry-after") == ["7"])
        #expect(stub.requests.count == 1)
    }

    @Test func log() throws {
        let stub = try answering()
        _ = try gateway.send("POST", "/x?secret=1", headers: ["X-Request-Id: logged"])
        let line = try gateway.logLine(containing: "logged")
        let entry = try AccessLogEntry(line)
        #expect(entry.request_id == "logged")
        #expect(entry.method == "POST" && entry.uri == "/x" && entry.status == 200)
        #expect(entry.function == "f" && entry.upstream_status == "200")
        #expect(Double(entry.upstream_connect_time) != nil && Double(entry.upstream_response_time) != nil)
        _ = try gateway.send("PUT", "/x?secret=1", headers: ["X-Request-Id: refused"])
        let refused = try AccessLogEntry(gateway.logLine(containing: "refused"))
        #expect(refused.method == "PUT" && refused.uri == "/x" && refused.status == 405)
        #expect(stub.requests.count == 1)
    }
}
