import Foundation
import TestSupport
import Testing

@testable import Runtime

/// A function that needs a database, and a database that is not there: 503 says that the handler ran.
@Suite struct RequestBodyTests {
    private func subscribe(
        timeout: Int = 120, concurrency: Int = 4, database: Int? = nil
    ) throws -> FunctionProcess {
        let port = try database ?? Loopback.freePort()
        return try FunctionProcess(
            "SubscribeFunction", routes: ["POST /club/{id}/subscribe/"], timeout: timeout, concurrency: concurrency,
            environment: ["DATABASE_URL": "postgresql://nobody@127.0.0.1:\(port)/none"])
    }

    private static let target = "/club/1/subscribe/"

    /// A valid body of that many bytes.
    private static func body(_ count: Int) -> [UInt8] {
        let text = #"{"customer_id":"c-1"}"#
        return Array(text.utf8.dropLast()) + [UInt8](repeating: 32, count: count - text.utf8.count)
            + [UInt8(ascii: "}")]
    }

    /// The body, what CONTENT_LENGTH says (nil: nothing), and the status that comes of it.
    @Test(
        arguments: [
            (21, 21, 503), (65_536, 65_536, 503), (9000, 9000, 503), (21, nil, 503), (4096, nil, 503),
            (4097, nil, 503), (5000, nil, 503), (65_536, nil, 503), (65_537, 65_537, 413), (65_537, nil, 413),
            (200_000, 200_000, 413), (10_000_000, 10_000_000, 413), (21, 22, 400), (21, 65_536, 400), (22, 21, 400),
            (9000, 21, 400), (9000, 8999, 400), (21, 0, 400), (70_000, 5, 413), (0, 21, 400), (0, nil, 400),
        ] as [(Int, Int?, Int)])
    func runsOnWholeBodiesOnly(_ count: Int, _ announced: Int?, _ status: Int) throws {
        let function = try subscribe()
        let answer = try FastCGIProbe(path: function.socketPath).request(
            "POST", Self.target, parameters: [("CONTENT_LENGTH", announced.map { String($0) } ?? "")],
            body: count == 0 ? [] : Self.body(count))
        #expect(answer.status == status)
        #expect(try function.waitForLog(lines: 1)[0]["level"]?.string == (status == 503 ? "warning" : "info"))
        #expect(try function.request("GET", "/none").status == 404)
    }

    @Test(arguments: ["x", "-1", "1e3", " 21", "21 ", "99999999999999999999"])
    func refusesALengthThatIsNone(_ length: String) throws {
        let function = try subscribe()
        let answer = try function.request(
            "POST", Self.target, parameters: [("CONTENT_LENGTH", length)], body: Self.body(21))
        #expect(answer.status == 400)
    }

    @Test func takesABodyInPieces() throws {
        let function = try subscribe()
        for pieces in [1, 7, 1000] {
            let answer = try FastCGIProbe(path: function.socketPath).request(
                "POST", Self.target, body: Self.body(1500), pieces: pieces)
            #expect(answer.status == 503)
        }
    }

    @Test func aBodyThatBreaksOffIsNotExecuted() throws {
        let database = try StreamListener()
        let function = try subscribe(database: database.port)
        let records = FastCGIProbe.records("POST", Self.target, body: Self.body(3000), length: 3000)
        let all = records.flatMap(\.bytes)
        for cut in [all.count - 9, all.count - 100, all.count - 2900] {
            let probe = try FastCGIProbe(path: function.socketPath)
            try probe.socket.send(Array(all[..<cut]))
            probe.socket.finishSending()
            if let answer = try? probe.answer() { #expect(answer.status == 400 || answer.status == 499) }
        }
        #expect(try function.request("POST", Self.target, body: Array("{}".utf8)).pointers == ["/customer_id"])
        #expect(try function.waitForLog(lines: 4).allSatisfy { $0["level"]?.string == "info" })
    }

    /// The rest of an unread body would be the next request of a kept connection.
    @Test(arguments: ["", "0", "21"])
    func aBodySmugglesNoRequest(_ length: String) throws {
        let function = try subscribe()
        let hidden = FastCGIProbe.records("GET", "/smuggled").flatMap(\.bytes)
        let probe = try FastCGIProbe(path: function.socketPath)
        var records = FastCGIProbe.records(
            "POST", Self.target, parameters: [("CONTENT_LENGTH", length)],
            body: Self.body(21) + [UInt8](repeating: 32, count: 8192) + hidden)
        records[0] = .begin(keepsConnection: true)
        try probe.send(records)
        probe.socket.finishSending()
        _ = try? probe.answer()
        #expect(throws: (any Error).self) { try probe.answer() }
        #expect(try function.request("GET", "/none").status == 404)
        let log = try function.waitForLog(lines: 2)
        #expect(log.count == 2)
    }

    @Test func namesTheFaultOfABadBodyWithoutADatabase() throws {
        let function = try subscribe()
        for (body, pointer) in [
            ("{", ""), ("[]", ""), ("{}", "/customer_id"), (#"{"customer_id":7}"#, "/customer_id"),
            (#"{"customer_id":"\u0000"}"#, "/customer_id"), (#"{"customer_id":"\ud800"}"#, "/customer_id"),
            (#"{"customer_id":"\#(String(repeating: "x", count: 37))"}"#, "/customer_id"),
            (String(repeating: "[", count: 60_000), ""),
        ] {
            let answer = try function.request("POST", Self.target, body: Array(body.utf8))
            #expect(answer.status == 400)
            #expect(answer.problem == "bad-request")
            #expect(answer.pointers == [pointer])
        }
        let type = try function.request(
            "POST", Self.target, parameters: [("CONTENT_TYPE", "text/plain")], body: Self.body(21))
        #expect(type.status == 415)
        #expect(try function.request("POST", "/club/x/subscribe", body: Self.body(21)).problem == "club-not-found")
        #expect(try function.waitForLog(lines: 10).allSatisfy { $0["level"]?.string == "info" })
    }

    @Test func aDatabaseThatRefusesIsA503() throws {
        let function = try subscribe()
        let answer = try function.request("POST", Self.target, body: Self.body(21))
        #expect(answer.status == 503)
        #expect(answer.problem == "database-unavailable")
        #expect(try answer.json()["executed"]?.string == "no")
        #expect(answer.headers["Retry-After"] == "1")
        #expect(try function.waitForLog(lines: 1)[0]["error"]?.string?.contains("refused") == true)
    }

    /// The time limit of the function is far beyond that of this test: only the limit for connecting ends the wait.
    @Test func aDatabaseThatNeverAnswersIsA503() throws {
        let database = try StreamListener()
        let function = try subscribe(database: database.port)
        let answer = try function.request("POST", Self.target, body: Self.body(21))
        #expect(answer.status == 503)
        #expect(try answer.json()["executed"]?.string == "no")
    }

    @Test func whoeverLeftBeforeItsTurnIsNotExecuted() throws {
        let database = try StreamListener()
        let function = try subscribe(concurrency: 1, database: database.port)
        let busy = try FastCGIProbe(path: function.socketPath)
        try busy.send(FastCGIProbe.records("POST", Self.target, body: Self.body(21)))
        let session = try database.acceptDatabaseSession()
        // The only worker is busy now: what comes next waits in the backlog.
        for _ in 0..<3 {
            let impatient = try FastCGIProbe(path: function.socketPath)
            try impatient.send(FastCGIProbe.records("POST", Self.target, body: Self.body(21)))
            impatient.socket.close()
        }
        session.close()
        #expect(try busy.answer().status == 503)
        let log = try function.waitForLog(lines: 4)
        #expect(log.dropFirst().map { $0["status"]?.integer } == [499, 499, 499])
        #expect(log.dropFirst().allSatisfy { $0["level"]?.string == "info" })
        // Had one of them been executed, it would have asked for a session of its own.
        #expect(try function.request("GET", "/none").status == 404)
        #expect(!database.hasWaiting)
    }

    @Test func whatWaitedTooLongIsNotExecuted() throws {
        let database = try StreamListener()
        let function = try subscribe(timeout: 5, database: database.port)
        let start = Clock.epochMilliseconds() - 5000
        let old = "\(start / 1000).\(String(start % 1000 + 1000).dropFirst())"
        let answer = try function.request(
            "POST", Self.target, parameters: [("REQUEST_START", old)], body: Self.body(21))
        #expect(answer.status == 503)
        #expect(try answer.json()["executed"]?.string == "no")
        #expect(answer.headers["Retry-After"] != nil)
        #expect(!database.hasWaiting)
        for start in ["inf", "nan", "1e400", "-1", "x", "99999999999999999999999"] {
            let answer = try function.request("GET", "/none", parameters: [("REQUEST_START", start)])
            #expect(answer.status == 404)
        }
        #expect(function.process.end == nil)
    }

    @Test func requestsInHandAreFinishedAfterSIGTERM() throws {
        let database = try StreamListener()
        let function = try subscribe(concurrency: 3, database: database.port)
        let idle = try Self.sockets(of: function.process.pid)
        let probes = try (0..<3).map { _ in
            let probe = try FastCGIProbe(path: function.socketPath)
            try probe.send(FastCGIProbe.records("POST", Self.target, body: Self.body(21)))
            return probe
        }
        // Two statements run at a time; the third request waits for one to end.
        let sessions = try (0..<2).map { _ in try database.acceptDatabaseSession() }
        try Eventually.happens("all three to be in hand") {
            try Self.sockets(of: function.process.pid) == idle + 3 + 2
        }
        function.process.terminate()
        try Eventually.happens("the signal to be taken") { try function.process.hasRaisedStop() }
        database.stop()
        for session in sessions { session.close() }
        for probe in probes { #expect(try probe.answer().problem == "database-unavailable") }
        #expect(try function.process.waitForEnd() == .exited(0))
        #expect(try function.log().count == 3)
    }

    private static func sockets(of pid: Int32) throws -> Int {
        let folder = "/proc/\(pid)/fd"
        return try FileManager.default.contentsOfDirectory(atPath: folder).filter { name in
            let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\(name)")
            return target?.hasPrefix("socket:") ?? false
        }.count
    }
}
