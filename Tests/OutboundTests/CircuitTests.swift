import Runtime
import TestSupport
import Testing

@testable import Outbound

@Suite struct CircuitTests {
    private static let second: UInt64 = 1_000_000_000

    /// A circuit after so many failed calls in a row.
    private func circuit(failures: Int, now: UInt64 = 0) -> Circuit {
        var circuit = Circuit()
        for _ in 0..<failures {
            #expect(circuit.admit(now: now) == .admitted)
            circuit.note(isFailure: true, now: now)
        }
        return circuit
    }

    @Test func opensAfterFiveFailuresInARow() {
        var circuit = circuit(failures: 4)
        #expect(circuit.state == .closed(failures: 4))
        circuit.note(isFailure: false, now: 0)
        #expect(circuit.state == .closed(failures: 0))
        circuit = self.circuit(failures: 5)
        #expect(circuit.state == .open(until: Circuit.openNanoseconds))
    }

    @Test func refusesWithTheTimeThatIsLeftWhileOpen() {
        var circuit = circuit(failures: 5)
        for (now, seconds) in [(0, 10), (1, 10), (Self.second, 9), (9 * Self.second + 1, 1), (10 * Self.second - 1, 1)]
        {
            #expect(circuit.admit(now: now) == .refused(retryAfter: seconds))
        }
    }

    @Test func saysWithoutAskingWhetherItRefuses() {
        #expect(!circuit(failures: 4).refuses(now: 0))
        var circuit = circuit(failures: 5)
        let later = Circuit.openNanoseconds
        #expect(circuit.refuses(now: 0) && circuit.refuses(now: later - 1) && !circuit.refuses(now: later))
        #expect(circuit.admit(now: later) == .admitted)
        #expect(circuit.refuses(now: later))
    }

    @Test func letsOneThroughAndBelievesIt() {
        var circuit = circuit(failures: 5)
        let later = Circuit.openNanoseconds
        #expect(circuit.admit(now: later) == .admitted)
        #expect(circuit.state == .halfOpen)
        #expect(circuit.admit(now: later) == .refused(retryAfter: 1))
        circuit.note(isFailure: true, now: later)
        #expect(circuit.state == .open(until: 2 * later))
        #expect(circuit.admit(now: 2 * later) == .admitted)
        circuit.note(isFailure: false, now: 2 * later)
        #expect(circuit.state == .closed(failures: 0))
    }

    @Test func whatWentOutBeforeItOpenedChangesNothing() {
        var circuit = circuit(failures: 5)
        circuit.note(isFailure: false, now: 1)
        #expect(circuit.state == .open(until: Circuit.openNanoseconds))
    }

    @Test(arguments: [
        ("http://a:1/x", "a:1"), ("https://b", "b"), ("http://u:p@c:2?q=/", "c:2"), ("nonsense", "nonsense"),
    ])
    func isKeptByHostAndPort(_ url: String, _ host: String) {
        #expect(CircuitBoard.host(of: url) == host)
    }

    @Test func pausesAreRandomUpToABoundThatGrows() {
        #expect((1...3).map(RetrySchedule.boundMilliseconds) == [50, 200, 800])
        var generator = SystemRandomNumberGenerator()
        for failures in 1...3 {
            let pauses = (0..<200).map { _ in RetrySchedule.pauseMilliseconds(after: failures, using: &generator) }
            #expect(pauses.allSatisfy { (0...RetrySchedule.boundMilliseconds(after: failures)).contains($0) })
            #expect(Set(pauses).count > 10)
        }
    }

    @Test("refused after five calls that were not sent, copies of the client included; answers never count")
    func aClientLeavesASickHostAlone() throws {
        let client = HTTPClient()
        func post(_ platform: ScriptedPlatform, scheme: String) -> HTTPClient.Outcome {
            client.post("\(scheme)://127.0.0.1:\(platform.port)/order/r", headers: [], body: [], deadline: .soon)
        }
        let ill = try ScriptedPlatform()
        ill.behave { _ in .answer(500) }
        for _ in 0..<6 {
            guard case .answered = post(ill, scheme: "http") else { throw BrokenMessage("no answer") }
        }
        let away = try ScriptedPlatform()
        away.closeConnections { _ in true }
        for number in 1...5 {
            guard case .notSent = post(away, scheme: "https") else { throw BrokenMessage("was sent") }
            #expect(away.connectionCount == number * RetrySchedule.tries, "what was not sent is tried again")
        }
        #expect(client.refuses("https://127.0.0.1:\(away.port)/x") && !client.refuses("http://127.0.0.1:\(ill.port)"))
        guard case .refused(let seconds) = post(away, scheme: "https") else { throw BrokenMessage("not refused") }
        #expect(1...10 ~= seconds)
        #expect(away.connectionCount == 5 * RetrySchedule.tries && away.requests.isEmpty)
        guard case .answered = post(ill, scheme: "http") else { throw BrokenMessage("another host is not concerned") }
    }

    @Test("a failure of our own is no word of the host, neither when it is closed nor when one goes out to see")
    func ourOwnFailureCountsAsNothing() throws {
        let client = HTTPClient()
        let away = try ScriptedPlatform()
        away.closeConnections { _ in true }
        let url = "https://127.0.0.1:\(away.port)/order/r"
        func post(_ url: String) throws {
            let outcome = client.post(url, headers: [], body: [], deadline: .soon)
            guard case .notSent = outcome else { throw BrokenMessage("\(outcome)") }
        }
        func failOurselves() throws { try post("nonsense://127.0.0.1:\(away.port)/") }
        for _ in 1...4 { try post(url) }
        try failOurselves()
        #expect(!client.refuses(url))
        try post(url)
        #expect(client.refuses(url))
        try Eventually.happens("a call to be let through") { !client.refuses(url) }
        try failOurselves()
        #expect(!client.refuses(url))
        try post(url)
        #expect(client.refuses(url), "the one that went out to see found nobody")
    }

    @Test("silence within less time than usual is no word of the host")
    func silenceWithinLittleTimeCountsAsNothing() throws {
        let gate = Gate()
        defer { gate.open() }
        let platform = try ScriptedPlatform()
        platform.behave { _ in .holdBeforeActing(gate) }
        let client = HTTPClient()
        let first = try concurrently(6) { _ in silence(client, platform, counts: false) }
        // Had they counted, this one would be refused.
        for outcome in first + [silence(client, platform, counts: false)] {
            guard case .unknown = outcome else { throw BrokenMessage("\(outcome)") }
        }
    }

    @Test func silenceUntilTheDeadlineOpensItToo() throws {
        let gate = Gate()
        defer { gate.open() }
        let platform = try ScriptedPlatform()
        platform.behave { _ in .holdBeforeActing(gate) }
        let client = HTTPClient()
        for outcome in try concurrently(5, { _ in silence(client, platform, counts: true) }) {
            guard case .unknown = outcome else { throw BrokenMessage("\(outcome)") }
        }
        try platform.waitForRequests(5)
        guard case .refused = silence(client, platform, counts: true) else { throw BrokenMessage("not refused") }
        #expect(platform.requests.count == 5)
    }

    /// What comes of a request to a platform that says nothing, with time enough to send it on a busy machine.
    private func silence(_ client: HTTPClient, _ platform: ScriptedPlatform, counts: Bool) -> HTTPClient.Outcome {
        client.post(
            platform.url, headers: [], body: [], deadline: .after(milliseconds: 3000), countsSilence: counts)
    }
}
