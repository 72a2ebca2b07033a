import Outbound
public import Runtime

/// The e-commerce platform that takes the orders.
public struct Platform: Sendable {
    private let client = HTTPClient()
    private let base: String
    private let key: String
    private let secret: String

    /// Reads `ECOMMERCE_URL`, `ECOMMERCE_API_KEY` and `ECOMMERCE_API_SECRET`.
    public init(_ settings: Settings) {
        let url = settings.text("ECOMMERCE_URL")
        if !url.isEmpty, !["http://", "https://"].contains(where: url.lowercased().hasPrefix) {
            settings.fault("ECOMMERCE_URL", "is “\(url)”: it must begin with http:// or https://")
        }
        base = url.hasSuffix("/") ? String(url.dropLast()) : url
        key = settings.text("ECOMMERCE_API_KEY")
        secret = settings.text("ECOMMERCE_API_SECRET")
    }

    /// The order that an attempt asks for, in the words of requirement S5.
    private struct Order: Encodable {
        let customer: String
        let sku: Int
        enum CodingKeys: String, CodingKey {
            case customer = "customer_id"
            case sku = "sku_id"
        }
    }

    /// Whether it is left alone at this moment, because too many calls in a row failed.
    var isLeftAlone: Bool { client.refuses(base) }

    /// Sends the attempt's order, once; again only where nothing of it went out.
    /// - Parameters:
    ///   - deadline: when to give up waiting; the outcome is unknown then.
    ///   - countsSilence: whether that is held against the platform.
    func order(
        _ attempt: ChargeLedger.Attempt, _ context: Context, deadline: Deadline, countsSilence: Bool
    ) throws -> Verdict {
        let outcome = client.post(
            "\(base)/order/\(attempt.requestID)",
            headers: [
                ("Content-Type", "application/json"), ("Accept", "application/json"),
                ("x-api-key", key), ("x-api-secret", secret),
                ("X-Request-Id", context.requestID), ("traceparent", context.traceparent),
            ],
            body: try JSON.encode(Order(customer: attempt.customer, sku: attempt.sku)), deadline: deadline,
            countsSilence: countsSilence, logger: context.logger)
        return Verdict(outcome)
    }
}
