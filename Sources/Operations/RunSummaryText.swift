import Runtime

extension RunSummary {
    /// For people: one line per kind, then what to do about what is left.
    /// - Parameter isResent: whether orders in doubt are sent again: not where `ecommerce.resend` is `manual`.
    public func text(isResent: Bool) -> String {
        var lines = ["\(period): \(eligible) eligible"]
        func line(_ count: Int, _ what: String) {
            if count > 0 {
                lines.append(String(repeating: " ", count: max(0, 9 - "\(count)".count)) + "\(count) \(what)")
            }
        }
        line(charged, "charged")
        line(replayed, "replayed: charged before")
        line(otherMonth, "charged for another month than \(period)")
        line(declined, "declined by the platform")
        line(declinedEarlier, "declined earlier this month and not asked again; --retry-declined does")
        line(refused, "refused: not chargeable")
        line(rejected, "rejected: not charged, for the reasons below")
        line(unknown, "unknown: they may have been charged")
        line(unreachable, "unreachable: not charged by this run")
        line(notAsked, "not asked for")
        for (reason, count) in reasons.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) {
            lines.append("  \(count) × \(reason)")
        }
        for (heading, names) in [
            ("Unknown:", unknownSubscriptions), ("Rejected:", rejectedSubscriptions),
            ("Unreachable:", unreachableSubscriptions),
        ] where !names.isEmpty {
            lines.append(heading)
            lines += names.sorted().map { "  \($0.printable)" }
        }
        switch stopped {
        case .interrupted: lines.append("Stopped. Start it again: it goes on with the same request ids.")
        case .monthEnded: lines.append("Stopped: the month is over. Start it again for the new one.")
        case .unreachable: lines.append("Stopped: nothing gets through. Start it again when it does.")
        case nil:
            let isLeft = unreachable > 0 || unknown > 0 && isResent
            if isLeft { lines.append("Start it again for what is left: it goes on with the same request ids.") }
        }
        if rejected > 0, stopped != .monthEnded {
            lines.append("What was rejected can be charged once its reason is gone: start it again then.")
        }
        if stopped == nil, reasons[ChargeAnswer.requestIDReused] != nil {
            lines.append(
                "The request ids of this month belong to other charges: name one of your own, as in "
                    + "POST /subscription/ID/charge/REQUEST-ID")
        }
        if unknown > 0 {
            lines.append(
                isResent
                    ? "What stays unknown is settled by and by: taproom charges list --state unknown"
                    : "What is unknown is not sent again (ecommerce.resend is manual): look for these orders on the "
                        + "platform, then say what you found with taproom charges settle")
        }
        return lines.joined(separator: "\n")
    }
}
