import Postgres
import Runtime
import TestSupport
import Testing

/// The same binary without a gateway that stays: plain CGI, a JSON event, a start that is refused.
@Suite struct OneShotTests {
    private let environment = FunctionProcess.environment("SubscribeFunction", routes: ["POST /club/{id}/subscribe/"])
        .merging(["DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"]) { $1 }
    private let livez = FunctionProcess.environment("LivezFunction", routes: ["GET /livez"])

    private func cgi(_ method: String, _ target: String, body: String = "", length: Int? = nil) throws -> (
        FastCGIResponse, [TestJSON]
    ) {
        let run = try FunctionRun(
            "SubscribeFunction",
            environment: environment.merging([
                "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": method, "REQUEST_URI": target,
                "CONTENT_TYPE": body.isEmpty ? "" : "application/json",
                "CONTENT_LENGTH": String(length ?? body.utf8.count),
            ]) { $1 },
            input: Array(body.utf8))
        #expect(run.end == .exited(0))
        return (try FastCGIResponse(cgi: run.output), try run.lines.map { try TestJSON(parsing: $0) })
    }

    @Test func answersPlainCGI() throws {
        let run = try FunctionRun(
            "LivezFunction",
            environment: livez.merging([
                "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET", "PATH_INFO": "/livez", "QUERY_STRING": "a=b",
            ]) { $1 })
        #expect(run.end == .exited(0))
        let answer = try FastCGIResponse(cgi: run.output)
        #expect(answer.status == 200)
        #expect(try answer.json()["status"]?.string == "alive")
        #expect(run.lines.count == 1)
    }

    @Test func readsTheBodyOfPlainCGI() throws {
        let (good, log) = try cgi("POST", "/club/1/subscribe/", body: #"{"customer_id":"c"}"#)
        #expect(good.status == 503)
        #expect(log.count == 1)
        #expect(log[0]["status"]?.integer == 503)
        #expect(try cgi("POST", "/club/1/subscribe/", body: #"{"customer_id":7}"#).0.pointers == ["/customer_id"])
        for length in [50, -1, .min] {
            #expect(try cgi("POST", "/club/1/subscribe/", body: "{}", length: length).0.status == 400)
        }
        #expect(try cgi("POST", "/club/1/subscribe/").0.pointers == [""])
        let long = "{" + String(repeating: " ", count: 65_536) + "}"
        #expect(try cgi("POST", "/club/1/subscribe/", body: long).0.status == 413)
        #expect(try cgi("GET", "/club/1/subscribe/").0.status == 405)
    }

    private func event(_ text: String) throws -> (TestJSON, FunctionRun) {
        let run = try FunctionRun(
            "SubscribeFunction", arguments: ["--event"], environment: environment, input: Array(text.utf8))
        #expect(run.end == .exited(0))
        return (try TestJSON(parsing: run.output), run)
    }

    @Test func answersAnEventInTheShapeOfPayload2() throws {
        let (answer, run) = try event(
            #"""
            {"version":"2.0","routeKey":"POST /club/{id}/subscribe/","rawPath":"/club/1/subscribe/",
             "headers":{"Content-Type":"application/json"},"body":"{\"customer_id\":7}","isBase64Encoded":false,
             "requestContext":{"requestId":"event-1","http":{"method":"POST","path":"/club/1/subscribe/"}}}
            """#)
        #expect(answer["statusCode"]?.integer == 400)
        #expect(answer["isBase64Encoded"] == .bool(false))
        #expect(answer["headers"]?["x-request-id"]?.string == "event-1")
        let problem = try TestJSON(parsing: try #require(answer["body"]?.string))
        #expect(problem["errors"]?.elements.first?["pointer"]?.string == "/customer_id")
        #expect(run.lines.count == 1)
        #expect(try TestJSON(parsing: run.lines[0])["request_id"]?.string == "event-1")
    }

    @Test func theRequestIDOfAnEventMayComeInItsHeader() throws {
        let (answer, _) = try event(
            #"""
            {"rawPath":"/club/1/subscribe/","headers":{"X-Request-Id":"header-1"},
             "requestContext":{"requestId":"JKJaXmPLvHcESHA=","http":{"method":"POST"}}}
            """#)
        #expect(answer["headers"]?["x-request-id"]?.string == "header-1")
    }

    @Test(
        "an event that brings path parameters must be of a route that has them",
        arguments: [
            ("POST", #"{"id":"1"}"#, 400), ("GET", #"{"id":"1"}"#, 405), ("POST", #"{"id":"1","request_id":"r"}"#, 404),
            ("POST", #"{"club":"1"}"#, 404),
        ])
    func pathParameters(method: String, parameters: String, status: Int) throws {
        let (answer, _) = try event(
            #"""
            {"rawPath":"/stage/club/1/subscribe/","pathParameters":\#(parameters),
             "requestContext":{"http":{"method":"\#(method)"}}}
            """#)
        #expect(answer["statusCode"]?.integer == status)
    }

    @Test func anAnswerThatCannotBeWrittenIsAFailure() throws {
        let run = try TestProcess.run(
            "/bin/sh", ["-c", #"exec "$0" --event >/dev/full"#, TestProcess.product("LivezFunction")],
            input: #"{"rawPath": "/livez", "requestContext": {"http": {"method": "GET"}}}"#, environment: livez)
        #expect(run.status == 1)
        #expect(run.errors.split(separator: "\n").count == 1, "it is logged: \(run.errors)")
    }

    @Test func readsABase64Body() throws {
        let (answer, _) = try event(
            #"""
            {"rawPath":"/club/1/subscribe/","body":"eyJjdXN0b21lcl9pZCI6ImMifQ==","isBase64Encoded":true,
             "requestContext":{"http":{"method":"POST"}}}
            """#)
        #expect(answer["statusCode"]?.integer == 503)
    }

    @Test(
        arguments: [
            "", "{", "[]", "{}", "null", #"{"requestContext":{}}"#, #"{"requestContext":{"http":{"method":1}}}"#,
            #"{"requestContext":{"http":{"method":"POST"}},"body":"%","isBase64Encoded":true}"#,
            #"{"requestContext":{"http":{"method":"POST"},"timeEpoch":1e400}}"#,
        ])
    func saysWhatIsWrongWithAnEvent(_ text: String) throws {
        let (answer, run) = try event(text)
        #expect(answer["statusCode"]?.integer == 400)
        #expect(answer["body"]?.string?.contains("payload 2.0") == true)
        #expect(try TestJSON(parsing: run.lines[0])["level"]?.string == "info")
    }

    @Test func saysThatAnEventIsTooLong() throws {
        func answer(padding: Int) throws -> TestJSON {
            let event = #"{"requestContext": {"http": {"method": "GET"}}}"#
            return try self.event(event + String(repeating: " ", count: padding - event.utf8.count)).0
        }
        #expect(try answer(padding: 16 << 20)["statusCode"]?.integer == 404)
        let tooLong = try answer(padding: 16 << 20 + 1)
        #expect(tooLong["statusCode"]?.integer == 400)
        #expect(tooLong["body"]?.string?.contains("The event is longer than 16777216 bytes.") == true, "\(tooLong)")
    }

    @Test(arguments: [
        ("EcommerceOrderFunction", []),
        ("ChargeFunction", ["ECOMMERCE_URL", "ECOMMERCE_RESEND", "BILLING_TIME_ZONE"]),
        ("SettleChargesFunction", ["ECOMMERCE_URL", "ECOMMERCE_RESEND"]),
    ])
    func doesNotStartWithoutItsSettingsAndListsThemAll(_ executable: String, own: [String]) throws {
        let run = try FunctionRun(
            executable, environment: ["TAPROOM_FUNCTION": "order", "TAPROOM_TIMEOUT": "soon"])
        #expect(run.end == .exited(78))
        #expect(run.output.isEmpty)
        #expect(run.lines.count == 1)
        let line = try TestJSON(parsing: try #require(run.lines.first))
        #expect(line["level"]?.string == "critical")
        #expect(line["function"]?.string == "order")
        let error = try #require(line["error"]?.string)
        for name in ["DATABASE_URL", "ECOMMERCE_API_KEY", "ECOMMERCE_API_SECRET", "TAPROOM_TIMEOUT"] + own {
            #expect(error.contains("\(name) is "), "\(error)")
        }
    }

    @Test func saysHowItIsUsedWhenNobodyServesIt() throws {
        let run = try FunctionRun("LivezFunction", environment: livez)
        #expect(run.end == .exited(64))
        #expect(run.output.isEmpty)
        #expect(run.lines.joined().contains("--event"))
    }

    @Test func anEmptyVersionTableIsNoMigration() throws {
        let url = try PostgresServer.shared.freshDatabase()
        try PostgresServer.shared.connect(to: url).run(
            script: "CREATE TABLE alembic_version (version_num varchar(32))", deadline: .soon)
        let run = try FunctionRun(
            "ReadyzFunction", arguments: ["--event"],
            environment: FunctionProcess.environment("ReadyzFunction", routes: ["GET /readyz"])
                .merging(["DATABASE_URL": url, "MIGRATION_HEAD": "head"]) { $1 },
            input: Array(#"{"rawPath": "/readyz", "requestContext": {"http": {"method": "GET"}}}"#.utf8))
        let answer = try TestJSON(parsing: run.output)
        #expect(answer["statusCode"]?.integer == 503)
        #expect(answer["body"]?.string?.contains("no migration has run") == true)
    }
}
