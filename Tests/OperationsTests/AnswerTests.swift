import Testing

@testable import Operations
@testable import Outbound

@Suite struct RequestIDTests {
    @Test func theSameForAMonthAndASubscription() {
        #expect(RunRequestID.of(period: "2026-11", subscription: "a-1_B.2:3") == "run:2026-11:a-1_B.2:3")
        #expect(
            RunRequestID.of(period: "2026-12", subscription: "a")
                != RunRequestID.of(period: "2026-11", subscription: "a"))
    }

    @Test(
        "an id that fits no request id is digested",
        arguments: ["a b", "é", "a/b", "", String(repeating: "x", count: 120)])
    func digested(id: String) {
        let request = RunRequestID.of(period: "2026-11", subscription: id)
        #expect(request.wholeMatch(of: #/run:2026-11:[0-9a-f]{64}/#) != nil, "\(request)")
        #expect(request == RunRequestID.of(period: "2026-11", subscription: id))
        #expect(request != RunRequestID.of(period: "2026-11", subscription: id + "."))
    }

    @Test func aKnownDigest() {
        // printf 'a b' | sha256sum
        #expect(
            RunRequestID.of(period: "2026-11", subscription: "a b")
                == "run:2026-11:c8687a08aa5d6ed2044328fa6a697ab8e96dc34291e8c2034ae8c38e6fcc6d65")
    }
}

@Suite struct AnswerTests {
    static func problem(_ status: Int, _ slug: String, _ rest: String = "") -> HTTPClient.Outcome {
        let body = #"{"type":"/problems/\#(slug)","title":"x","status":\#(status),"detail":"x"\#(rest)}"#
        return .answered(.init(status: status, headers: [], body: Array(body.utf8), retryAfter: nil))
    }

    static func platform(_ status: Int) -> String { #","platform":{"status":\#(status),"body":"no"}"# }

    static func receipt(replayed: Bool, body: String = #"{"period":"2026-11","order":{}}"#) -> HTTPClient.Outcome {
        let headers = replayed ? [(name: "idempotent-replayed", value: "true")] : []
        return .answered(.init(status: 200, headers: headers, body: Array(body.utf8), retryAfter: nil))
    }

    static let cases: [(HTTPClient.Outcome, ChargeAnswer)] = [
        (receipt(replayed: false), .charged(period: "2026-11")),
        (receipt(replayed: true), .replayed(period: "2026-11")),
        (receipt(replayed: false, body: "<html>"), .unknown(reason: "status 200 without a receipt")),
        (problem(402, "charge-declined", platform(402)), .declined),
        (problem(402, "charge-declined", #","outcome":"unknown""#), .unknown(reason: "charge-declined")),
        (problem(404, "subscription-not-found"), .refused(reason: "subscription-not-found")),
        (problem(409, "not-chargeable"), .refused(reason: "not-chargeable")),
        (problem(409, "not-chargeable", #","outcome":"unknown""#), .unknown(reason: "not-chargeable")),
        (problem(409, "charge-in-progress"), .unknown(reason: "charge-in-progress")),
        (problem(429, "too-many-requests"), .unreachable(reason: "too-many-requests")),
        (problem(500, "internal"), .unknown(reason: "internal")),
        (problem(502, "platform-refused-us"), .unreachable(reason: "platform-refused-us")),
        (problem(502, "platform-refused-us", #","outcome":"unknown""#), .unknown(reason: "platform-refused-us")),
        (problem(502, "platform-error"), .unknown(reason: "platform-error")),
        (problem(502, "bad-gateway", #","executed":"unknown""#), .unknown(reason: "bad-gateway")),
        (problem(503, "platform-busy", #","executed":"no""#), .unreachable(reason: "platform-busy")),
        (
            problem(503, "platform-busy", #","executed":"unknown","outcome":"unknown""#),
            .unknown(reason: "platform-busy")
        ),
        (problem(503, "database-unavailable", #","executed":"no""#), .unreachable(reason: "database-unavailable")),
        (
            problem(503, "database-unavailable", #","executed":"unknown""#), .unknown(reason: "database-unavailable")
        ),
        (problem(504, "charge-outcome-unknown"), .unknown(reason: "charge-outcome-unknown")),
        (.answered(.init(status: 302, headers: [], body: [], retryAfter: nil)), .unknown(reason: "status 302")),
        (.notSent(reason: "no"), .unreachable(reason: "gateway: no")),
        (.unknown(reason: "no"), .unknown(reason: "gateway: no")),
    ]

    @Test("every answer means what it may mean", arguments: cases.indices)
    func classified(index: Int) {
        let (outcome, expected) = Self.cases[index]
        #expect(ChargeAnswer(outcome) == expected)
    }

    static let rejections: [(HTTPClient.Outcome, String)] = [
        (problem(402, "charge-declined", platform(404)), "platform-404"),
        (problem(402, "charge-declined", platform(400)), "platform-400"),
        (problem(402, "charge-declined"), "charge-declined"), (problem(402, "payment-required"), "payment-required"),
        (problem(400, "bad-request"), "bad-request"), (problem(404, "not-found"), "not-found"),
        (problem(405, "method-not-allowed"), "method-not-allowed"), (problem(409, "conflict"), "conflict"),
        (problem(414, "uri-too-long"), "uri-too-long"), (problem(422, "request-id-reused"), "request-id-reused"),
        (.answered(.init(status: 404, headers: [], body: Array("<html>".utf8), retryAfter: nil)), "status 404"),
    ]

    @Test(
        "what is not the subscription's own state and no 402 of the platform is no refusal and no decline",
        arguments: rejections.indices)
    func rejected(index: Int) {
        let (outcome, reason) = Self.rejections[index]
        #expect("\(ChargeAnswer(outcome))" == #"rejected(reason: "\#(reason)")"#)
    }
}
