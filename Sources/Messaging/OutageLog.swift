import Runtime

/// The log of a process that goes on through every outage: a line when something stops working, and one when it works
/// again. Owned by one thread.
final class OutageLog {
    private let function: String
    private var trouble: String?
    /// What is said of a type of event, to how many it befell since the last line about it, and when there may be another.
    private var events: [String: (count: Int, next: Deadline)] = [:]

    /// Where nobody consumes a type, every event of it is unroutable, thousands a second under load.
    private static let eventMilliseconds = 60_000

    init(function: String) { self.function = function }

    /// Logs, unless the last line said the same.
    func failed(_ reason: String) {
        guard trouble != reason else { return }
        trouble = reason
        write(level: "warning", "waiting: what is needed does not work", error: reason)
    }

    func recovered() {
        guard trouble != nil else { return }
        trouble = nil
        write(level: "info", "working again")
    }

    func unroutable(_ envelopes: [Envelope], exchange: String) {
        note("no queue is bound for these events: they are marked and not sent again", envelopes, exchange)
    }

    func refused(_ envelopes: [Envelope], exchange: String) {
        note(
            "a queue did not take these events, or the broker did not confirm them: they are sent again later",
            envelopes, exchange)
    }

    /// Logs those of a type in one line, and after that at most one line a minute with how many there were.
    private func note(_ message: String, _ envelopes: [Envelope], _ exchange: String) {
        for (type, envelopes) in Dictionary(grouping: envelopes, by: \.type) {
            let key = "\(type) \(message)"
            var (count, next) = events[key] ?? (0, .after(milliseconds: 0))
            count += envelopes.count
            if next.hasPassed {
                var line = line(level: "warning", message)
                line.add("event_type", type)
                line.add("event_id", envelopes[0].id)
                line.add("count", count)
                line.add("exchange", exchange)
                if !envelopes[0].fitsRoutingKey {
                    line.add("error", "the type is longer than a routing key, 255 bytes")
                }
                line.write()
                (count, next) = (0, .after(milliseconds: Self.eventMilliseconds))
            }
            events[key] = (count, next)
        }
    }

    func setAside(_ envelope: Envelope, queue: String, reason: String) {
        var line = line(level: "warning", "set aside")
        line.add("event_id", envelope.id)
        line.add("event_type", envelope.type)
        line.add("queue", queue)
        line.add("error", reason)
        line.write()
    }

    private func write(level: String, _ message: String, error: String? = nil) {
        var line = line(level: level, message)
        line.add("error", error)
        line.write()
    }

    private func line(level: String, _ message: String) -> LogLine {
        var line = LogLine(level: level)
        line.add("function", function)
        line.add("message", message)
        return line
    }
}
