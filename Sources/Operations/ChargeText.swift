import Postgres
import Runtime

/// The ledger for people.
public enum ChargeText {
    /// A table with a heading, columns as wide as their longest entry.
    public static func table(_ entries: [ChargeRecords.Entry]) -> String {
        let heading = ["CHARGE", "SUBSCRIPTION", "PERIOD", "STATE", "REQUEST ID", "ATTEMPTS", "AGE", "CHARGED AT"]
        let rows = entries.map { entry in
            [
                String(entry.id), entry.subscription, entry.period,
                entry.state.rawValue + (entry.retiredAt == nil ? "" : " (subscription deleted)")
                    + (entry.otherOrders.isEmpty ? "" : " (ordered twice)"), entry.requestID,
                String(entry.attempts), age(entry.ageSeconds), entry.chargedAt?.text ?? "-",
            ].map(\.printable)
        }
        return TextTable.lines([heading] + rows).joined(separator: "\n")
    }

    /// One charge with all that happened to it.
    /// - Parameter isResent: whether orders in doubt are sent again: not where `ecommerce.resend` is `manual`.
    public static func history(_ history: ChargeRecords.History, isResent: Bool) -> String {
        let charge = history.charge
        var lines = [
            "charge \(charge.id): \(charge.state.rawValue)\(history.isAnOperatorsWord ? ", by an operator's word" : "")",
            "  subscription  \(charge.subscription.printable)",
            "  period        \(charge.period)", "  request id    \(charge.requestID.printable)",
            "  begun         \(charge.createdAt.text), \(age(charge.ageSeconds)) ago",
        ]
        if let at = charge.chargedAt { lines.append("  charged       \(at.text)") }
        if let at = charge.retiredAt { lines.append("  retired       \(at.text): the subscription was deleted") }
        if let at = charge.doubtSince { lines.append("  in doubt      since \(at.text): perhaps charged") }
        if charge.state == .unknown {
            let next = isResent ? charge.settledFrom.map { "settle-charges sends it again from \($0.text) on" } : nil
            lines.append(
                "  next          \(next ?? "nothing is sent: taproom charges settle \(charge.id) says what came of it")"
            )
        }
        for other in charge.otherOrders {
            lines.append("  SECOND ORDER  \(other.printable): the platform made it as well; cancel one there")
        }
        if let order = history.order { lines.append("  order         \(order.printable)") }
        lines.append("  attempts")
        for event in history.events {
            let status = event.platformStatus.map { ", platform status \($0)" } ?? ""
            let excerpt = event.excerpt.map { $0.isEmpty ? "" : ": \($0.printable)" } ?? ""
            lines.append(
                "    \(event.at.text)  \(event.attempt)  \(event.requestID.printable)  \(event.what)\(status)\(excerpt)"
            )
        }
        if !history.settlements.isEmpty { lines.append("  settlements") }
        for settlement in history.settlements {
            let order = settlement.order.map { ", order \($0.printable)" } ?? ""
            lines.append(
                "    \(settlement.at.text)  \(settlement.outcome)\(order), by \(settlement.who.printable): "
                    + settlement.why.printable)
        }
        return lines.joined(separator: "\n")
    }

    /// `45s`, `12m`, `3h`, `9d`.
    static func age(_ seconds: Int) -> String {
        switch seconds {
        case ..<120: "\(max(0, seconds))s"
        case ..<7200: "\(seconds / 60)m"
        case ..<172_800: "\(seconds / 3600)h"
        default: "\(seconds / 86_400)d"
        }
    }
}
