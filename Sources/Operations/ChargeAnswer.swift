import Outbound
import Runtime

/// What the gateway's answer to one charge, or the lack of one, means to a run.
enum ChargeAnswer: Sendable, Equatable {
    /// Charged by this request.
    case charged(period: String)
    /// Charged before.
    case replayed(period: String)
    /// The platform refused the order with 402.
    case declined
    /// It may not be charged: paused since it was listed, cancelled, unknown.
    case refused(reason: String)
    /// Not charged, for a reason that is not the subscription's: the platform refused the order with another status, or
    /// the gateway the request, or the request id is another charge's. Sent again at once, it would be refused again.
    case rejected(reason: String)
    /// It may have been charged, and nobody knows.
    case unknown(reason: String)
    /// This request charged nothing because the gateway, the database or the platform took nothing.
    case unreachable(reason: String)

    init(_ outcome: HTTPClient.Outcome) {
        switch outcome {
        case .notSent(let reason): self = .unreachable(reason: "gateway: \(reason)")
        case .refused: self = .unreachable(reason: "gateway: too many calls in a row failed")
        case .unknown(let reason): self = .unknown(reason: "gateway: \(reason)")
        case .answered(let answer): self.init(answer)
        }
    }

    private init(_ answer: HTTPClient.Response) {
        if answer.status == 200 {
            guard let receipt = try? JSON.decode(Receipt.self, from: answer.body) else {
                self = .unknown(reason: "status 200 without a receipt")
                return
            }
            let isReplay = answer.headers.contains {
                $0.name.lowercased() == "idempotent-replayed" && $0.value == "true"
            }
            self = isReplay ? .replayed(period: receipt.period) : .charged(period: receipt.period)
            return
        }
        let problem = try? JSON.decode(Problem.self, from: answer.body)
        let slug = problem?.type.split(separator: "/").last.map(String.init)
        let reason = slug ?? "status \(answer.status)"
        // Whatever this request came to, an earlier order of the charge is in doubt.
        if problem?.outcome == "unknown" {
            self = .unknown(reason: reason)
            return
        }
        switch (answer.status, slug) {
        case (402, "charge-declined"):
            let status = problem?.platform?.status
            self = status == 402 ? .declined : .rejected(reason: status.map { "platform-\($0)" } ?? reason)
        // Another request charges it at this moment: what becomes of that one, this run cannot say.
        case (409, "charge-in-progress"): self = .unknown(reason: reason)
        // Our credentials: nothing was charged, and nothing will be until they are fixed.
        case (502, "platform-refused-us"), (429, _): self = .unreachable(reason: reason)
        case (500..., _) where problem?.executed == "no": self = .unreachable(reason: reason)
        case (404, "subscription-not-found"), (409, "not-chargeable"): self = .refused(reason: reason)
        case (400..<500, _): self = .rejected(reason: reason)
        default: self = .unknown(reason: reason)
        }
    }

    private struct Receipt: Decodable {
        let period: String
    }

    private struct Problem: Decodable {
        let type: String
        let executed: String?
        let outcome: String?
        let platform: Platform?

        struct Platform: Decodable {
            let status: Int
        }
    }

    /// Whether the request id is another charge's: that of the month before, once the month has turned, or of a
    /// subscription that has another id by now.
    var hasUsedRequestID: Bool { self == .rejected(reason: Self.requestIDReused) }
    static let requestIDReused = "request-id-reused"

    /// Whether nobody took this request; an order sent before may be in doubt all the same.
    var isUntaken: Bool {
        switch self {
        case .unknown(let reason): ["platform-busy", "platform-unreachable", "platform-refused-us"].contains(reason)
        case .unreachable: true
        default: false
        }
    }

    /// Whether asking again shortly may give another answer, without hurry at the platform: this request was not taken,
    /// or another is at it. What was sent and stays unknown is left to the next run and to the ledger's own settling.
    var isWorthRepeating: Bool {
        switch self {
        case .unknown(reason: "charge-in-progress"): true
        case .unknown(let reason), .unreachable(let reason): isUntaken && reason != "platform-refused-us"
        default: false
        }
    }
}
