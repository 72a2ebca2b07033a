/// One tick of a schedule.
public struct ScheduledEvent: Sendable {
    /// The planned instant, in milliseconds since 1970-01-01 UTC: a whole multiple of the interval. When run by hand, the
    /// instant that the event names, else now.
    public let time: Int
    /// Seconds between two ticks; `nil` when run by hand.
    public let interval: Int?
}

extension ScheduledEvent: Decodable {
    private enum CodingKeys: CodingKey { case time }

    /// Reads an event file: `{}`, or `{"time": 1763694000000}`.
    public init(from decoder: any Decoder) throws {
        let event = try decoder.container(keyedBy: CodingKeys.self)
        time = try event.decodeIfPresent(Int.self, forKey: .time) ?? Clock.epochMilliseconds()
        interval = nil
    }
}

/// A function that is run at whole multiples of an interval, as `schedule: rate(…)` in functions.yml says.
///
/// Ticks are those of the wall clock, so that every process of the function has the same ones; which of them does the
/// work, the function itself decides. A tick that comes while the one before still runs is skipped. What `handle`
/// returns is logged on one line. When it throws, the error is logged and the next tick comes as planned. At SIGTERM a run
/// has until its deadline, and `Context.isStopping` tells it to begin nothing more.
public protocol ScheduledFunction: Function where Event == ScheduledEvent, Output: Encodable {}

extension ScheduledFunction {
    /// The process: runs at every tick until SIGTERM, and once with `--event`.
    public static func main() { ScheduleProcess.run(Self.self) }
}
