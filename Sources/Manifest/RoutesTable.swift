internal import Messaging
internal import Runtime

extension Manifest {
    /// Every path once per function that answers it, as a table of aligned columns with a heading; `base` is the
    /// gateway's URL without a trailing slash. Ends with a newline.
    public func routesTable(base: String) -> String {
        var rows = [["METHODS", "URL", "FUNCTION", "DESCRIPTION"]]
        for function in functions {
            var paths: [String] = []
            for route in function.routes where !paths.contains(route.path) { paths.append(route.path) }
            for path in paths {
                let methods = function.routes.filter { $0.path == path }.map(\.method).joined(separator: ",")
                rows.append([methods, base + path, function.name, Self.summary(function)])
            }
        }
        return Self.table(rows)
    }

    /// Every function that runs by itself, in the form of ``routesTable(base:)``; empty when there is none.
    public func schedulesTable() -> String {
        let rows = functions.compactMap { function in
            function.schedule.map { schedule in
                [
                    schedule.isEnabled ? schedule.rate : "off", function.name, Self.summary(function),
                ]
            }
        }
        return rows.isEmpty ? "" : Self.table([["SCHEDULE", "FUNCTION", "DESCRIPTION"]] + rows)
    }

    /// Every queue with its consumer and what comes into it, in the form of ``routesTable(base:)``; empty when there is
    /// none.
    public func queuesTable() -> String {
        let rows = functions.compactMap { function in
            function.queue.map { queue in
                [
                    queue.topology.queue,
                    "\(queue.topology.exchange) \(queue.topology.routingKeys.joined(separator: ","))", function.name,
                    Self.summary(function),
                ]
            }
        }
        return rows.isEmpty ? "" : Self.table([["QUEUE", "EVENTS", "FUNCTION", "DESCRIPTION"]] + rows)
    }

    /// Every outbox with its relay, in the form of ``routesTable(base:)``; empty when there is none.
    public func outboxesTable() -> String {
        let rows = functions.compactMap { function in
            function.outbox.map { [$0.service, $0.exchange, function.name, Self.summary(function)] }
        }
        return rows.isEmpty ? "" : Self.table([["OUTBOX", "EXCHANGE", "FUNCTION", "DESCRIPTION"]] + rows)
    }

    private static func summary(_ function: FunctionEntry) -> String {
        function.description?.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
    }

    private static func table(_ rows: [[String]]) -> String {
        TextTable.lines(rows).map { $0 + "\n" }.joined()
    }
}
