import Postgres
import Runtime

extension ChargeLedger.Receipt {
    /// The answer of the contract, the same bytes every time it is asked for: the platform's own JSON goes in as it
    /// came, which an encoder could not do.
    public var json: [UInt8] {
        let text = """
            {"subscription_id":\(JSON.quote(subscription)),"period":\(JSON.quote(period)),"status":"charged",\
            "request_id":\(JSON.quote(requestID)),"charged_at":\(JSON.quote(chargedAt.text)),"order":\(order)}
            """
        return Array(text.utf8)
    }
}
