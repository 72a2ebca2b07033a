public import Runtime

/// What may be done about an order whose outcome is unknown; how the platform behaves decides.
public enum ResendPolicy: String, Sendable {
    /// The same request id may be sent again: the platform makes one order of it however often it comes.
    case idempotent
    /// Nothing is ever sent again; an operator settles.
    case manual

    /// Reads `ECOMMERCE_RESEND`.
    public init(_ settings: Settings) {
        let text = settings.text("ECOMMERCE_RESEND")
        guard let policy = ResendPolicy(rawValue: text) else {
            if !text.isEmpty {
                settings.fault("ECOMMERCE_RESEND", "is “\(text)”: it must be idempotent or manual")
            }
            self = .manual
            return
        }
        self = policy
    }
}
