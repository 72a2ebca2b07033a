import Outbound
import Runtime

/// What an answer of the platform, or the lack of one, means for a charge.
enum Verdict: Sendable {
    /// The order was made; its JSON text.
    case charged(status: Int, order: String)
    /// The platform refused the order: 400, 402, 404, 409, 410, 422. Of an order in doubt only 402 settles anything.
    case declined(status: Int, body: String)
    /// It refused our credentials: 401, 403.
    case refusedUs(status: Int, body: String)
    /// It has no time: 408, 425, 429.
    case busy(status: Int, retryAfter: Int?)
    /// Nothing was sent; after how many seconds to try again, when that is known.
    case unreachable(reason: String, retryAfter: Int? = nil)
    /// An answer that says nothing: 5xx, a redirect, or no JSON that we can pass on where an order is expected.
    case unusable(status: Int, body: String)
    /// Sent, and no whole answer came.
    case unanswered(reason: String)

    init(_ outcome: HTTPClient.Outcome) {
        switch outcome {
        case .notSent(let reason): self = .unreachable(reason: reason)
        case .refused(let seconds):
            self = .unreachable(reason: "too many calls in a row failed", retryAfter: seconds)
        case .unknown(let reason): self = .unanswered(reason: reason)
        case .answered(let answer):
            let body = String(decoding: answer.body, as: UTF8.self)
            switch answer.status {
            case 200..<300:
                if let order = Self.order(answer.body) {
                    self = .charged(status: answer.status, order: order)
                } else {
                    self = .unusable(status: answer.status, body: body)
                }
            case 400, 402, 404, 409, 410, 422: self = .declined(status: answer.status, body: body)
            case 401, 403: self = .refusedUs(status: answer.status, body: body)
            case 408, 425, 429: self = .busy(status: answer.status, retryAfter: answer.retryAfter)
            default: self = .unusable(status: answer.status, body: body)
            }
        }
    }

    /// The text of an order, byte for byte but for a byte order mark, when it is JSON that can stand inside of our own;
    /// null for no body at all.
    private static func order(_ body: [UInt8]) -> String? {
        let mark = JSONSyntax.byteOrderMark
        let text = body.starts(with: mark) ? Array(body.dropFirst(mark.count)) : body
        if text.isEmpty { return "null" }
        // An event and its envelope stand around it.
        guard JSONSyntax.fault(in: text, atDepth: 2) == nil else { return nil }
        return String(decoding: text, as: UTF8.self)
    }

    /// The word of the ledger.
    var outcome: String {
        switch self {
        case .charged: "charged"
        case .declined: "declined"
        case .refusedUs, .busy, .unreachable: "released"
        case .unusable, .unanswered: "unknown"
        }
    }

    var platformStatus: Int? {
        switch self {
        case .charged(let status, _), .declined(let status, _), .refusedUs(let status, _), .busy(let status, _),
            .unusable(let status, _):
            status
        case .unreachable, .unanswered: nil
        }
    }

    var order: String? {
        guard case .charged(_, let order) = self else { return nil }
        return order
    }

    /// For the record: at most 1,024 characters, without NUL.
    var excerpt: String {
        let text =
            switch self {
            case .charged(_, let order): order
            case .declined(_, let body), .refusedUs(_, let body), .unusable(_, let body): body
            case .busy: ""
            case .unreachable(let reason, _), .unanswered(let reason): reason
            }
        return Self.bounded(text)
    }

    static func bounded(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.lazy.filter { $0.value != 0 }.prefix(1024)))
    }
}
