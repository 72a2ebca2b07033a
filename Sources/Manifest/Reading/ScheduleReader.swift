import Runtime
import Yams

/// Reads `schedule: rate(1 minute)` and `schedule: {rate: rate(1 minute), enabled: true}`.
struct ScheduleReader {
    private static let units = ["second": 1, "minute": 60, "hour": 3600, "day": 86_400]

    /// The mapping with the key `schedule`.
    let event: Section

    /// Nil, with a report, when it is none.
    func read() -> Schedule? {
        if case .mapping? = event.value("schedule") {
            guard let section = event.section("schedule") else { return nil }
            section.warnAboutKeys(except: ["rate", "enabled"])
            if section.value("rate") == nil { section.report("is missing; write \(Self.example)", "rate") }
            let isEnabled = section.boolean("enabled") ?? true
            return seconds("rate", in: section).map { Schedule(seconds: $0, isEnabled: isEnabled) }
        }
        return seconds("schedule", in: event).map { Schedule(seconds: $0, isEnabled: true) }
    }

    private func seconds(_ name: String, in section: Section) -> Int? {
        guard let text = section.string(name) else { return nil }
        guard let match = text.wholeMatch(of: /rate\(\s*([0-9]+)\s+([a-z]+?)s?\s*\)/),
            let unit = Self.units[String(match.2)]
        else {
            section.report(
                "must be \(Self.example), with seconds, minutes, hours or days, not \"\(text)\"", name)
            return nil
        }
        let (seconds, isTooLong) = (Int(match.1) ?? .max).multipliedReportingOverflow(by: unit)
        guard !isTooLong, (1...Settings.Process.longestSchedule).contains(seconds) else {
            section.report("must be an interval from 1 second to 366 days, not \"\(text)\"", name)
            return nil
        }
        return seconds
    }

    private static let example = "rate(NUMBER UNIT), as in rate(5 minutes)"
}
