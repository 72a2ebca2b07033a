import Outbound
import Runtime
import TestSupport
import Testing

@Suite struct HTTPClientTests {
    private let client = HTTPClient()
    private let platform: ScriptedPlatform

    init() throws { platform = try ScriptedPlatform() }

    /// Long enough for a busy machine; what must end by its deadline is given one of its own.
    private func post(
        _ url: String, body: String = "{}", headers: [(name: String, value: String)] = [], milliseconds: Int = 20_000
    ) -> HTTPClient.Outcome {
        client.post(url, headers: headers, body: Array(body.utf8), deadline: .after(milliseconds: milliseconds))
    }

    private func order(_ id: String, milliseconds: Int = 20_000) -> HTTPClient.Outcome {
        post("\(platform.url)/order/\(id)", milliseconds: milliseconds)
    }

    private func answer(_ outcome: HTTPClient.Outcome) throws -> HTTPClient.Response {
        guard case .answered(let answer) = outcome else { throw BrokenMessage("no answer: \(outcome)") }
        return answer
    }

    private func isUnknown(_ outcome: HTTPClient.Outcome) -> Bool {
        if case .unknown(let reason) = outcome { return !reason.isEmpty }
        return false
    }

    private func isNotSent(_ outcome: HTTPClient.Outcome) -> Bool {
        if case .notSent(let reason) = outcome { return !reason.isEmpty }
        return false
    }

    // MARK: Answers

    @Test func sendsWhatItIsGivenAndReadsTheAnswer() throws {
        let body = #"{"customer_id":"c","sku_id":7}"#
        let outcome = post(
            "\(platform.url)/order/r-1", body: body,
            headers: [("Content-Type", "application/json"), ("x-api-key", "key"), ("x-empty", "")])
        let answer = try answer(outcome)
        #expect(answer.status == 200)
        #expect(try TestJSON(parsing: answer.body)["request_id"]?.string == "r-1")
        #expect(answer.retryAfter == nil)
        let request = try #require(platform.requests.first)
        #expect(request.method == "POST")
        #expect(request.target == "/ecommerce/order/r-1")
        #expect(String(decoding: request.body, as: UTF8.self) == body)
        #expect(request.headers.values("Content-Type") == ["application/json"])
        #expect(request.headers.values("x-api-key") == ["key"])
        #expect(request.headers.values("x-empty") == [""])
        #expect(request.headers["Expect"] == nil)
        #expect(platform.orders == ["r-1": 1])
    }

    @Test func sendsNoBodyAndABigOneWhole() throws {
        #expect(try answer(post("\(platform.url)/order/a", body: "")).status == 200)
        let big = String(repeating: "x", count: 3_000_000)
        #expect(try answer(post("\(platform.url)/order/b", body: big)).status == 200)
        #expect(platform.requests.map(\.body.count) == [0, 3_000_000])
    }

    @Test(arguments: [200, 201, 204, 400, 402, 404, 409, 422, 429, 500, 503])
    func everyStatusIsAnAnswer(_ status: Int) throws {
        platform.behave { _ in .answer(status, status == 204 ? "" : "{}") }
        #expect(try answer(order("r")).status == status)
    }

    @Test func readsADateToTryAgainAfter() throws {
        for (date, isToCome) in [("Sun, 01 Jan 2090 00:00:00 GMT", true), ("Thu, 01 Jan 1970 00:00:10 GMT", false)] {
            platform.behave { _ in .answer(503, headers: [("Retry-After", date)]) }
            #expect((try answer(order("r")).retryAfter ?? 0 > 86_400) == isToCome)
        }
    }

    @Test(
        arguments: [("7", 7), ("0", nil), ("x", nil), ("-3", nil), ("", nil), ("120", 120)] as [(String, Int?)])
    func readsRetryAfter(_ text: String, _ seconds: Int?) throws {
        platform.behave { _ in .answer(429, headers: [("Retry-After", text)]) }
        #expect(try answer(order("r")).retryAfter == seconds)
    }

    @Test func followsNoRedirect() throws {
        let other = try ScriptedPlatform()
        for status in [301, 302, 303, 307, 308] {
            platform.behave { _ in .answer(status, headers: [("Location", other.url + "/order/stolen")]) }
            #expect(try answer(order("r")).status == status)
        }
        #expect(other.connectionCount == 0)
    }

    @Test(arguments: [".", "..", "a:b", "...", "..-", "%2e"])
    func keepsThePathAsItIs(_ id: String) throws {
        #expect(try answer(order(id)).status == 200)
        #expect(platform.requests.map(\.target) == ["/ecommerce/order/\(id)"])
    }

    @Test func everyRequestHasAConnectionOfItsOwn() throws {
        for number in 0..<5 { #expect(try answer(order("r-\(number)")).status == 200) }
        #expect(platform.connectionCount == 5)
    }

    @Test func isUsedByManyThreadsAtOnce() throws {
        let client = client
        let url = platform.url
        let statuses = try concurrently(32) { index in
            let outcome = client.post("\(url)/order/r-\(index % 8)", headers: [], body: [], deadline: .soon)
            guard case .answered(let answer) = outcome else { throw BrokenMessage("\(outcome)") }
            return answer.status
        }
        #expect(statuses == Array(repeating: 200, count: 32))
        #expect(platform.requests.count == 32)
        #expect(platform.orders.count == 8 && platform.orderCount == 8)
    }

    // MARK: Not sent

    @Test func aRefusedConnectionIsNotSent() throws {
        #expect(isNotSent(post("http://127.0.0.1:\(try Loopback.freePort())/order/r")))
    }

    @Test func aNameThatDoesNotExistIsNotSent() {
        #expect(isNotSent(post("http://platform.invalid/order/r")))
    }

    @Test(arguments: ["", "nonsense", "ftp://127.0.0.1/x", "file:///etc/passwd", "http://", "gopher://127.0.0.1/"])
    func anAddressOfAnotherKindIsNotSent(_ url: String) {
        #expect(isNotSent(post(url)))
    }

    @Test func tlsToAPlainPortIsNotSent() throws {
        #expect(isNotSent(post("https://127.0.0.1:\(platform.port)/order/r")))
        #expect(platform.requests.isEmpty)
    }

    /// The kernel completes the connection; whoever listens never says a word of TLS.
    @Test func tlsThatNeverBeginsIsNotSent() throws {
        let silent = try StreamListener()
        #expect(isNotSent(post("https://127.0.0.1:\(silent.port)/order/r", milliseconds: 500)))
    }

    @Test func aConnectionIsNotWaitedForUntilTheDeadline() throws {
        let silent = try StreamListener()
        #expect(isNotSent(post("https://127.0.0.1:\(silent.port)/order/r")))
        #expect(silent.accept() != nil && silent.hasWaiting, "it was tried again")
    }

    @Test func nothingIsSentWithoutTime() {
        #expect(isNotSent(order("r", milliseconds: 0)))
        #expect(isNotSent(order("r", milliseconds: -5)))
        #expect(platform.connectionCount == 0)
    }

    // MARK: Unknown

    @Test(
        "an answer of no use is told from none, and why",
        arguments: [
            (.huge, "the answer is over 1048576 bytes"), (.cutInReply, "the answer was cut short"),
            (.cutAfterActing, "Server returned nothing"),
        ] as [(PlatformBehaviour, String)])
    func whyUnknown(behaviour: PlatformBehaviour, words: String) {
        platform.behave { _ in behaviour }
        guard case .unknown(let reason) = order("r") else {
            Issue.record("it is known")
            return
        }
        #expect(reason.hasPrefix(words))
    }

    @Test func silenceUntilTheDeadlineIsUnknown() throws {
        let gate = Gate()
        platform.behave { _ in .holdAfterActing(gate) }
        #expect(isUnknown(order("r", milliseconds: 3000)))
        #expect(platform.orders == ["r": 1])
        #expect(platform.requests.count == 1)
    }

    @Test func aConnectionThatNobodyAcceptsIsUnknown() throws {
        // The request lies in the kernel's buffer: who listens may still read it.
        let silent = try StreamListener()
        #expect(isUnknown(post("http://127.0.0.1:\(silent.port)/order/r", milliseconds: 3000)))
    }

    @Test func anEndWithoutAnAnswerIsUnknownAndNotSentAgain() throws {
        for behaviour in [PlatformBehaviour.cutAfterActing, .cutBeforeActing] {
            platform.behave { _ in behaviour }
            #expect(isUnknown(order("r")))
        }
        #expect(platform.requests.count == 2)
        #expect(platform.connectionCount == 2)
    }

    @Test func aConnectionClosedUnreadIsUnknownAndNotSentAgain() {
        platform.closeConnections { _ in true }
        #expect(isUnknown(order("r")))
        #expect(platform.connectionCount == 1)
    }

    @Test func aCutOrSenselessAnswerIsUnknown() throws {
        for behaviour in [PlatformBehaviour.cutInReply, .garbage, .huge] {
            platform.behave { _ in behaviour }
            #expect(isUnknown(order("r")))
        }
        for bytes in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}", "\u{16}\u{3}\u{1}"] {
            platform.behave { _ in .init(reply: .bytes(Array(bytes.utf8))) }
            #expect(isUnknown(order("r")), "\(bytes)")
        }
        #expect(platform.requests.count == 7)
    }

    @Test(
        "an answer is unknown wherever it is cut",
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.1 402 No\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ])
    func cutAnywhere(answer: String) {
        let bytes = Array(answer.utf8)
        func isUnknown(cutAt count: Int) -> Bool {
            platform.behave { _ in .init(reply: .bytes(Array(bytes.prefix(count)))) }
            return self.isUnknown(order("r"))
        }
        // The line feed that ends the last chunk says nothing that its carriage return has not said.
        #expect((0..<bytes.count - 1).filter { !isUnknown(cutAt: $0) } == [])
        #expect(!isUnknown(cutAt: bytes.count))
    }

    @Test func anAnswerUpToTheLimitIsRead() throws {
        for (size, isRead) in [(HTTPClient.responseLimit, true), (HTTPClient.responseLimit + 1, false)] {
            platform.behave { _ in
                .init(reply: .answer(status: 200, body: [UInt8](repeating: 97, count: size), headers: []))
            }
            let outcome = order("r")
            #expect(isUnknown(outcome) == !isRead)
            if isRead { #expect(try answer(outcome).body.count == size) }
        }
    }

    @Test func aSlowAnswerWithinTheDeadlineIsRead() throws {
        platform.behave { _ in .init(before: .milliseconds(50), after: .milliseconds(50)) }
        #expect(try answer(order("r")).status == 200)
    }
}
