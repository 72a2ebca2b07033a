import Glibc
import Runtime
import TestSupport
import Testing

@testable import Operations

@Suite struct SummaryTests {
    func summary(_ answers: [ChargeAnswer], eligible: Int? = nil) -> RunSummary {
        var summary = RunSummary(period: "2026-11", eligible: eligible ?? answers.count)
        for (index, answer) in answers.enumerated() { summary.add(answer, for: "s\(index)") }
        return summary
    }

    static let statuses: [(ChargeAnswer, Int32)] = [
        (.charged(period: "2026-11"), 0), (.replayed(period: "2026-11"), 0), (.declined, 0),
        (.refused(reason: "not-chargeable"), 0), (.unknown(reason: "platform-error"), 1),
        (.unreachable(reason: "platform-busy"), 1),
    ]

    @Test("exit status is 0 only when nothing is left open", arguments: statuses.indices)
    func exitStatus(index: Int) {
        let (answer, status) = Self.statuses[index]
        #expect(summary([.charged(period: "2026-11"), answer]).exitStatus == status)
        #expect(summary([answer], eligible: 2).exitStatus == 1, "one was not asked for")
        var stopped = summary([answer], eligible: 2)
        stopped.stop(.interrupted)
        stopped.stop(.monthEnded)
        #expect(stopped.exitStatus == 130 && stopped.stopped == .interrupted)
    }

    @Test func textNamesWhatIsOpen() {
        let summary = summary([.charged(period: "2026-11"), .unknown(reason: "platform-error"), .declined])
        let text = summary.text(isResent: true)
        #expect(text.contains("2026-11: 3 eligible"))
        #expect(text.contains("1 unknown"))
        #expect(text.contains("1 × platform-error"))
        #expect(text.contains("\n  s1\n"))
        #expect(!text.contains("unreachable"))
        #expect(text.contains("Start it again") && text.contains("settled by and by"))
        // Where nothing is sent again, starting it again helps nobody.
        let manual = summary.text(isResent: false)
        #expect(!manual.contains("Start it again") && manual.contains("taproom charges settle"))
    }

    @Test func aProgressLineHasRateAndRemainingTime() {
        let half = summary(Array(repeating: .charged(period: "2026-11"), count: 50), eligible: 100)
        #expect(
            ProgressBar.line(half, seconds: 4, hasBar: true)
                == "[###############---------------] 50 of 100, 12.5/s, 4 s left")
        #expect(ProgressBar.line(half, seconds: 4, hasBar: false) == "50 of 100, 12.5/s, 4 s left")
        #expect(ProgressBar.line(summary([]), seconds: 0, hasBar: false) == "0 of 0")
    }

    @Test func progressIsTakenFromAllThreads() throws {
        let lines = Lock(0)
        // A terminal that stands still for longer than a bar does.
        let bar = ProgressBar(isTerminal: true) { _ in
            lines.withLock { $0 += 1 }
            usleep(105_000)
        }
        let half = summary([.declined], eligible: 2)
        let limit = Deadline.after(milliseconds: 60_000)
        _ = try concurrently(16) { _ in while lines.withLock({ $0 }) < 10, !limit.hasPassed { bar.update(half) } }
        #expect(lines.withLock { $0 } >= 10)
    }
}
