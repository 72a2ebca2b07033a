import Glibc

/// The instant at which waiting must end, on the clock that no operator can set (CLOCK_MONOTONIC).
public struct Deadline: Sendable, Comparable {
    /// Nanoseconds on the monotonic clock.
    private let instant: UInt64

    private init(instant: UInt64) { self.instant = instant }

    /// A deadline this many milliseconds from now; a negative number is one that has passed.
    public static func after(milliseconds: Int) -> Deadline {
        let now = Clock.monotonicNanoseconds()
        if milliseconds < 0 { return Deadline(instant: now) }
        return Deadline(instant: now &+ UInt64(milliseconds) * 1_000_000)
    }

    /// For work that nobody waits for, such as a migration.
    public static let never = Deadline(instant: .max)

    public var hasPassed: Bool { Clock.monotonicNanoseconds() >= instant }

    /// Whole milliseconds left, rounded up so that a wait of this length does not end early; 0 once it has passed.
    /// Capped at 2³¹ − 1, the most that poll(2) and libcurl take.
    public var remainingMilliseconds: Int {
        let now = Clock.monotonicNanoseconds()
        guard instant > now else { return 0 }
        return Int(min((instant - now) / 1_000_000 + 1, UInt64(Int32.max)))
    }

    /// As CLOCK_MONOTONIC counts.
    var time: timespec { timespec(tv_sec: Int(instant / 1_000_000_000), tv_nsec: Int(instant % 1_000_000_000)) }

    /// The earlier of this deadline and one so many milliseconds from now.
    public func atMost(milliseconds: Int) -> Deadline { min(self, .after(milliseconds: milliseconds)) }

    /// The deadline so many milliseconds after this one, 0 or more; `never` has none after it.
    public func adding(milliseconds: Int) -> Deadline {
        let (sum, isOver) = instant.addingReportingOverflow(UInt64(milliseconds) * 1_000_000)
        return isOver ? .never : Deadline(instant: sum)
    }

    public static func < (left: Deadline, right: Deadline) -> Bool { left.instant < right.instant }
}

/// The two clocks of the operating system. Neither decides about money or state: PostgreSQL's clock does.
public enum Clock {
    public static func monotonicNanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// Milliseconds since 1970-01-01 UTC.
    public static func epochMilliseconds() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }
}
