import Runtime

/// Shows how far a run is: a bar that moves on a terminal, else a plain line from time to time.
public final class ProgressBar: Sendable {
    private let isTerminal: Bool
    private let write: @Sendable (String) -> Void
    private let begin = Clock.monotonicNanoseconds()
    private let shown = Lock<UInt64?>(nil)

    /// - Parameter write: takes text for the operator.
    public init(isTerminal: Bool, write: @escaping @Sendable (String) -> Void) {
        self.isTerminal = isTerminal
        self.write = write
    }

    /// From any thread, after each charge.
    func update(_ summary: RunSummary) {
        shown.withLock { shown in
            // Read in here, or a thread that had to wait would bring an instant before the last one shown.
            let now = Clock.monotonicNanoseconds()
            if let shown, now - shown < (isTerminal ? 100_000_000 : 10_000_000_000) { return }
            shown = now
            show(summary, now)
        }
    }

    /// Once, after the last charge.
    func finish(_ summary: RunSummary) {
        shown.withLock { _ in show(summary, Clock.monotonicNanoseconds()) }
        if isTerminal { write("\n") }
    }

    private func show(_ summary: RunSummary, _ now: UInt64) {
        let line = Self.line(summary, seconds: Double(now - begin) / 1_000_000_000, hasBar: isTerminal)
        write(isTerminal ? "\r\u{1B}[K" + line : line + "\n")
    }

    /// `[#####-----] 50 of 100, 12.5/s, 4 s left, 1 unknown`
    static func line(_ summary: RunSummary, seconds: Double, hasBar: Bool) -> String {
        let total = summary.asked + summary.notAsked
        let width = 30
        let filled = total == 0 ? width : summary.asked * width / total
        let bar = String(repeating: "#", count: filled) + String(repeating: "-", count: width - filled)
        var parts = ["\(hasBar ? "[\(bar)] " : "")\(summary.asked) of \(total)"]
        if summary.asked > 0, seconds > 0 {
            let rate = Double(summary.asked) / seconds
            parts.append("\((rate * 10).rounded() / 10)/s")
            if summary.notAsked > 0 { parts.append("\(duration(Double(summary.notAsked) / rate)) left") }
        }
        for (count, word) in [
            (summary.declined, "declined"), (summary.refused, "refused"), (summary.rejected, "rejected"),
            (summary.unknown, "unknown"), (summary.unreachable, "unreachable"),
        ] where count > 0 {
            parts.append("\(count) \(word)")
        }
        return parts.joined(separator: ", ")
    }

    private static func duration(_ seconds: Double) -> String {
        let seconds = Int(seconds.rounded(.up))
        return seconds < 120 ? "\(seconds) s" : seconds < 7200 ? "\(seconds / 60) min" : "\(seconds / 3600) h"
    }
}
