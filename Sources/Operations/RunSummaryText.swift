extension RunSummary {
    /// For people: one line per kind, then what to do about what is left.
    public var text: String {
        var lines = ["\(period): \(eligible) eligible"]
        func line(_ count: Int, _ what: String) {
            if count > 0 {
                lines.append(String(repeating: " ", count: max(0, 9 - "\(count)".count)) + "\(count) \(what)")
            }
        }
        line(charged, "charged")
        line(replayed, "replayed: charged before")
        line(declined, "declined by the platform")
        line(declinedEarlier, "declined earlier this month and not asked again; --retry-declined does")
        line(refused, "refused: not chargeable")
        line(unknown, "unknown: they may have been charged")
        line(unreachable, "unreachable: not charged by this run")
        line(notAsked, "not asked for")
        for (reason, count) in reasons.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) {
            lines.append("  \(count) × \(reason)")
        }
        if unknown > 0 { lines.append("Unknown:") }
        lines += unknownSubscriptions.sorted().map { "  \($0)" }
        switch stopped {
        case .interrupted: lines.append("Stopped. Start it again: it goes on with the same request ids.")
        case .monthEnded: lines.append("Stopped: the month is over. Start it again for the new one.")
        case .unreachable: lines.append("Stopped: nothing gets through. Start it again when it does.")
        case nil:
            if exitStatus != 0 {
                lines.append(
                    "Start it again to settle what is left: it goes on with the same request ids. What stays unknown: "
                        + "taproom charges list --state unknown")
            }
        }
        return lines.joined(separator: "\n")
    }
}
