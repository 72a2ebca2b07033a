import Messaging
import Runtime

extension Manifest {
    /// What makes functions run: routes, schedules, queues and outboxes, each kind that there is as a table of aligned
    /// columns with a heading, which ends with a newline; `base` is the gateway's URL without a trailing slash.
    public func tables(base: String) -> [String] {
        [routesTable(base: base), schedulesTable(), queuesTable(), outboxesTable()].filter { !$0.isEmpty }
    }

    /// Every path once per function that answers it; empty when there is none.
    func routesTable(base: String) -> String {
        var rows: [[String]] = []
        for function in functions {
            var paths: [String] = []
            for route in function.routes where !paths.contains(route.path) { paths.append(route.path) }
            for path in paths {
                let methods = function.routes.filter { $0.path == path }.map(\.method).joined(separator: ",")
                rows.append([methods, base + path, function.name, Self.summary(function)])
            }
        }
        return Self.table(["METHODS", "URL", "FUNCTION", "DESCRIPTION"], rows)
    }

    /// Every function that runs by itself; empty when there is none.
    func schedulesTable() -> String {
        let rows = functions.compactMap { function in
            function.schedule.map { schedule in
                [schedule.isEnabled ? schedule.rate : "off", function.name, Self.summary(function)]
            }
        }
        return Self.table(["SCHEDULE", "FUNCTION", "DESCRIPTION"], rows)
    }

    /// Every queue with its consumer and what comes into it; empty when there is none.
    func queuesTable() -> String {
        let rows = functions.compactMap { function in
            function.queue.map { queue in
                [
                    queue.topology.queue,
                    "\(queue.topology.exchange) \(queue.topology.routingKeys.joined(separator: ","))", function.name,
                    Self.summary(function),
                ]
            }
        }
        return Self.table(["QUEUE", "EVENTS", "FUNCTION", "DESCRIPTION"], rows)
    }

    /// Every outbox with its relay; empty when there is none.
    func outboxesTable() -> String {
        let rows = functions.compactMap { function in
            function.outbox.map { [$0.service, $0.exchange, function.name, Self.summary(function)] }
        }
        return Self.table(["OUTBOX", "EXCHANGE", "FUNCTION", "DESCRIPTION"], rows)
    }

    private static func summary(_ function: FunctionEntry) -> String {
        function.description?.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
    }

    private static func table(_ heading: [String], _ rows: [[String]]) -> String {
        rows.isEmpty ? "" : TextTable.lines([heading] + rows).map { $0 + "\n" }.joined()
    }
}
