import Glibc
import Outbound
import Runtime

/// The routes that a charge run calls.
public struct GatewayClient: Sendable {
    private let base: String
    /// The gateway's answer to a charge holds the platform's, which may be as long as a client takes by default.
    private let client = HTTPClient(responseLimit: HTTPClient.responseLimit + (64 << 10))

    /// - Parameter base: such as `http://127.0.0.1:8080`.
    /// - Throws: `OperationError` when it is not an HTTP URL.
    public init(base: String) throws {
        guard base.hasPrefix("http://") || base.hasPrefix("https://") else {
            throw OperationError("the gateway “\(base)” (--gateway) must begin with http:// or https://")
        }
        self.base = base.hasSuffix("/") ? String(base.dropLast()) : base
    }

    /// The ids of all subscriptions that may be charged now, in order, at most `limit` of them.
    /// - Throws: `OperationError` when a page does not come in three attempts, or what comes is none.
    public func eligible(limit: Int?) throws -> [String] {
        var ids: [String] = []
        while true {
            let size = min(Self.pageSize, limit.map { $0 - ids.count } ?? Self.pageSize)
            guard size > 0 else { return ids }
            let after = ids.last.map { "&after=\(PercentEncoding.encode($0))" } ?? ""
            let page = try page("\(base)/subscription/eligible?limit=\(size)\(after)")
            ids += page
            if page.count < size { return ids }
        }
    }

    private func page(_ url: String) throws -> [String] {
        var reason = ""
        for attempt in 1...3 {
            switch client.get(url, headers: [("Accept", "application/json")], deadline: Self.deadline) {
            case .answered(let answer) where answer.status == 200:
                if let ids = try? JSON.decode([String].self, from: answer.body) { return ids }
                throw failure(url, "what answers at \(base) is not this shop's gateway")
            case .answered(let answer):
                reason = "status \(answer.status): \(String(decoding: answer.body.prefix(400), as: UTF8.self))"
                guard answer.status >= 500 || answer.status == 429 else { throw failure(url, reason) }
            case .notSent(let text), .unknown(let text): reason = text
            case .refused: reason = "too many calls in a row failed"
            }
            if attempt < 3 { sleep(1) }
        }
        throw failure(url, reason)
    }

    private func failure(_ url: String, _ reason: String) -> OperationError {
        OperationError("no list of eligible subscriptions from \(url): \(reason)")
    }

    /// Asks to charge a subscription, once.
    /// - Returns: also how many seconds to wait before asking again, when the answer says so.
    func charge(subscription: String, requestID: String) -> (answer: ChargeAnswer, retryAfter: Int?) {
        let outcome = client.post(
            "\(base)/subscription/\(PercentEncoding.encode(subscription))/charge/\(requestID)",
            headers: [("Accept", "application/json")], body: [], deadline: Self.deadline)
        switch outcome {
        case .answered(let answer): return (ChargeAnswer(outcome), answer.retryAfter)
        case .refused(let seconds): return (ChargeAnswer(outcome), seconds)
        case .notSent, .unknown: return (ChargeAnswer(outcome), nil)
        }
    }

    private static let pageSize = 5000
    /// Longer than the 20 s of `charge`, or a page of the list, with the wait for a free worker.
    private static var deadline: Deadline { .after(milliseconds: 120_000) }
}
