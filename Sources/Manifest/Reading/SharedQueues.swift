import Messaging

/// Reports every queue that is named for two purposes, and an outbox that two functions publish to different exchanges.
///
/// Two consumers of one queue would share its events at random, and a dead letter could not be brought back to the queue
/// that it came from.
func reportSharedQueues(among functions: [FunctionEntry], _ diagnostics: Diagnostics) {
    var uses: [String: (purpose: String, function: FunctionEntry)] = [:]
    for function in functions {
        guard let topology = function.queue?.topology else { continue }
        let named =
            [(topology.queue, "work queue"), (topology.deadLetter, "dead letter queue")]
            + topology.retryQueues.map { ($0, "retry queue") }
        for (name, purpose) in named {
            guard let other = uses[name] else {
                uses[name] = (purpose, function)
                continue
            }
            let line = other.function.line.map { " (line \($0))" } ?? ""
            diagnostics.report(
                "\"\(name)\" is a \(purpose) here and a \(other.purpose) of function "
                    + "\"\(other.function.name)\"\(line); a queue serves one purpose of one function",
                key: "\(function.key).events", line: function.line)
        }
    }
    var outboxes: [String: (exchange: String, function: String)] = [:]
    for function in functions {
        guard let outbox = function.outbox else { continue }
        let first = outboxes[outbox.service] ?? (outbox.exchange, function.name)
        outboxes[outbox.service] = first
        if first.exchange != outbox.exchange {
            diagnostics.report(
                "publishes the outbox of \(outbox.service) to \(outbox.exchange), and function \"\(first.function)\" "
                    + "to \(first.exchange); use one exchange",
                key: "\(function.key).events", line: function.line)
        }
    }
}
