internal import Runtime

/// The log of a process that goes on through every outage: a line when something stops working, and one when it works
/// again. Owned by one thread.
final class Journal {
    private let function: String
    private var trouble: String?

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

    func unroutable(_ envelope: Envelope, exchange: String) {
        var line = line(
            level: "warning", "no queue is bound for this event: it is marked unroutable and not sent again")
        line.add("event_id", envelope.id)
        line.add("event_type", envelope.type)
        line.add("exchange", exchange)
        line.write()
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
