import TestSupport
import Testing

@testable import Runtime

/// Functions as processes, with the test in nginx's place.
@Suite struct FunctionTests {
    private func livez() throws -> FunctionProcess { try FunctionProcess("LivezFunction", routes: ["GET /livez"]) }

    @Test func answersAndLogsEachInvocationOnce() throws {
        let function = try livez()
        let answer = try function.request("GET", "/livez", parameters: [("HTTP_X_REQUEST_ID", "sane-1")])
        #expect(answer.status == 200)
        #expect(answer.headers["Content-Type"] == "application/json")
        #expect(answer.headers["Content-Length"] == String(answer.body.count))
        #expect(answer.headers.values("X-Request-Id") == ["sane-1"])
        #expect(answer.errors.isEmpty)
        #expect(try answer.json()["status"]?.string == "alive")
        // Another worker may write its line first, so the second request waits for the first one's.
        #expect(try function.waitForLog(lines: 1).count == 1)
        #expect(try function.request("GET", "/livez/?a=b").status == 200)

        let log = try function.waitForLog(lines: 2)
        #expect(log.count == 2)
        #expect(log[0]["request_id"]?.string == "sane-1")
        #expect(log[0]["function"]?.string == "livez")
        #expect(log[0]["method"]?.string == "GET")
        #expect(log[0]["route"]?.string == "GET /livez")
        #expect(log[0]["status"]?.integer == 200)
        #expect(log[0]["level"]?.string == "info")
        #expect(log[0]["error"] == nil)
        guard case .number = log[0]["duration_ms"] else {
            Issue.record("no duration_ms")
            return
        }
        #expect(log[1]["request_id"]?.string?.split(separator: "-").count == 5)
    }

    @Test func headHasTheHeadersOfGetAndNoBody() throws {
        let function = try livez()
        let get = try function.request("GET", "/livez")
        let head = try function.request("HEAD", "/livez")
        #expect(head.status == 200)
        #expect(head.body.isEmpty)
        #expect(head.headers["Content-Length"] == get.headers["Content-Length"])
        #expect(head.headers["Content-Type"] == get.headers["Content-Type"])
        let missing = try function.request("HEAD", "/none")
        #expect(missing.status == 404)
        #expect(missing.body.isEmpty)
    }

    @Test func headOfAStreamSaysThatTheDatabaseIsAway() throws {
        let function = try FunctionProcess(
            "EligibleFunction", routes: ["GET /subscription/eligible"],
            environment: ["DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"])
        for method in ["GET", "HEAD"] {
            let answer = try function.request(method, "/subscription/eligible")
            #expect(answer.status == 503 && answer.headers["Content-Type"] == "application/problem+json", "\(method)")
        }
    }

    @Test(arguments: ["POST", "PUT", "DELETE", "PATCH", "TRACE", "get", "X\"\u{1}", ""])
    func refusesOtherMethods(_ method: String) throws {
        let function = try livez()
        let answer = try function.request(method, "/livez")
        #expect(answer.status == 405)
        #expect(answer.headers["Allow"] == "GET, HEAD")
        #expect(answer.problem == "method-not-allowed")
        #expect(try function.waitForLog(lines: 1)[0]["level"]?.string == "info")
    }

    @Test(
        arguments: [
            "/", "", "/none", "/livez/more", "//livez", "/livez%00", "/%", "*", "http://x/livez", "/livez\r\nX: y",
            "/\u{1F37A}", "/" + String(repeating: "a", count: 30_000),
        ])
    func refusesOtherPaths(_ target: String) throws {
        let function = try livez()
        let answer = try function.request("GET", target)
        #expect(answer.status == 404)
        #expect(answer.problem == "not-found")
        let id = try #require(answer.headers["X-Request-Id"])
        #expect(try answer.json()["instance"]?.string == "urn:request:\(id)")
        #expect(try function.waitForLog(lines: 1)[0]["level"]?.string == "info")
    }

    @Test func replacesAnInsaneRequestIDAndABrokenTrace() throws {
        let function = try livez()
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        let pairs = [
            ("", "no"), ("a b", "no"), ("é", "00-0-0-00"), (String(repeating: "x", count: 129), "no"),
            ("a\"}\n{\"level\":\"error\"", "\"}\n{"), ("fine", trace),
        ]
        for (index, (id, parent)) in pairs.enumerated() {
            let answer = try function.request(
                "GET", "/livez", parameters: [("HTTP_X_REQUEST_ID", id), ("HTTP_TRACEPARENT", parent)])
            let used = try #require(answer.headers["X-Request-Id"])
            #expect(Identifier.isValidRequestID(used))
            #expect((used == id) == (id == "fine"))
            let line = try function.waitForLog(lines: index + 1)[index]
            #expect(line["request_id"]?.string == used)
            let logged = try #require(line["trace"]?.string)
            #expect(Identifier.isTraceparent(logged))
            #expect((logged == parent) == (parent == trace))
            #expect(answer.headers.values("traceparent") == [logged])
        }
    }

    @Test func everyLineOfALogIsJSONWhateverTheRequestHolds() throws {
        let function = try livez()
        let long = String(repeating: "M\"\\", count: 10_000)
        for method in [long, "\u{1F37A}\u{2028}", "\u{7F}\u{1B}[31m"] {
            #expect(try function.request(method, "/none", parameters: [("HTTP_USER_AGENT", long)]).status == 404)
        }
        let log = try function.waitForLog(lines: 3)
        #expect(log.count == 3)
        // A line of more than 4,096 bytes may mix with those of other processes in the same pipe.
        #expect(function.process.lines.allSatisfy { $0.utf8.count < 4096 })
    }

    @Test func manyClientsAllGetTheirOwnAnswers() throws {
        let function = try livez()
        let answers = try concurrently(64) { index in
            try function.request("GET", "/livez", parameters: [("HTTP_X_REQUEST_ID", "client-\(index)")])
        }
        #expect(answers.map(\.status) == Array(repeating: 200, count: 64))
        #expect(answers.enumerated().allSatisfy { $1.headers["X-Request-Id"] == "client-\($0)" })
        let ids = try function.waitForLog(lines: 64).compactMap { $0["request_id"]?.string }
        #expect(Set(ids).count == 64 && ids.count == 64)
    }

    @Test func anIdleFunctionEndsAtOnceOnSIGTERM() throws {
        let function = try livez()
        #expect(try function.request("GET", "/livez").status == 200)
        function.process.terminate()
        #expect(try function.process.waitForEnd() == .exited(0))
        let unused = try livez()
        // The signal may come before the process waits for it; then it ends by it, which is as well.
        unused.process.terminate()
        #expect([.exited(0), .killed(signal: 15)].contains(try unused.process.waitForEnd()))
    }

    @Test func aRollingRestartLosesNoAnswer() throws {
        let first = try livez()
        #expect(try first.request("GET", "/livez").status == 200)
        let environment = FunctionProcess.environment("LivezFunction", routes: ["GET /livez"])
        let second = try first.sibling("LivezFunction", environment: environment)
        let answers = try concurrently(16) { index in
            try (0..<40).map { round in
                if index == 0, round == 10 { first.process.terminate() }
                return try first.request("GET", "/livez").status
            }
        }
        #expect(answers.joined().allSatisfy { $0 == 200 })
        #expect(try first.process.waitForEnd() == .exited(0))
        #expect(second.process.end == nil)
        try Eventually.happens("a line for each") { try first.log().count + second.log().count == 641 }
    }
}
