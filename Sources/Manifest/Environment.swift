internal import Messaging

extension Manifest {
    /// What the process of `function` finds in its environment: the variables that tell it who it is and where its
    /// libraries are, then its own entries with parameters filled in. No name occurs twice; an own entry counts.
    ///
    /// Throws a ``ManifestError`` that names every parameter `deployment` does not have.
    public func environment(of function: FunctionEntry, in deployment: Deployment) throws -> [(String, String)] {
        var resolution = ParameterResolution(parameters: deployment.parameters)
        let own = function.environment.map { name, value in
            (name, resolution.resolve(value, of: name, in: function, file: file))
        }
        guard resolution.problems.isEmpty else { throw ManifestError(problems: resolution.problems) }
        let libraries = deployment.libraryFolder.map { [("LD_LIBRARY_PATH", $0)] } ?? []
        return [
            ("TAPROOM_FUNCTION", function.name),
            ("TAPROOM_ROUTES", function.routes.map { "\($0.method) \($0.path)" }.joined(separator: "\n")),
            ("TAPROOM_TIMEOUT", "\(function.timeout)"),
            ("TAPROOM_CONCURRENCY", "\(function.reservedConcurrency)"),
        ] + (function.source?.variables ?? []) + libraries.filter { name, _ in !own.contains { $0.0 == name } } + own
    }

    static let reservedVariables = [
        "TAPROOM_FUNCTION", "TAPROOM_ROUTES", "TAPROOM_TIMEOUT", "TAPROOM_CONCURRENCY", "TAPROOM_SCHEDULE",
        "TAPROOM_QUEUE", "TAPROOM_ROUTING_KEYS", "TAPROOM_PREFETCH", "TAPROOM_BATCH", "TAPROOM_RETRY",
        "TAPROOM_DEAD_LETTER", "TAPROOM_OUTBOX",
        "TAPROOM_EXCHANGE",
    ]
}

extension EventSource {
    /// What tells the process where its events come from.
    fileprivate var variables: [(String, String)] {
        switch self {
        case .schedule(let schedule): [("TAPROOM_SCHEDULE", "\(schedule.seconds)")]
        case .queue(let queue):
            [
                ("TAPROOM_QUEUE", queue.topology.queue), ("TAPROOM_EXCHANGE", queue.topology.exchange),
                ("TAPROOM_ROUTING_KEYS", queue.topology.routingKeys.joined(separator: ",")),
                ("TAPROOM_PREFETCH", "\(queue.prefetch)"),
                ("TAPROOM_BATCH", "\(queue.batchSize)"),
                // An empty variable counts as an absent one.
                (
                    "TAPROOM_RETRY",
                    queue.topology.retry.isEmpty ? "none" : queue.topology.retry.map { "\($0)" }.joined(separator: ",")
                ),
                ("TAPROOM_DEAD_LETTER", queue.topology.deadLetter),
            ]
        case .outbox(let outbox):
            [
                ("TAPROOM_OUTBOX", outbox.service), ("TAPROOM_EXCHANGE", outbox.exchange),
                ("TAPROOM_BATCH", "\(outbox.batchSize)"),
            ]
        }
    }
}

private struct ParameterResolution {
    let parameters: [String: String]
    var problems: [ManifestError.Problem] = []

    mutating func resolve(_ value: String, of name: String, in function: FunctionEntry, file: String) -> String {
        var result = ""
        for piece in VariableText(value).pieces {
            switch piece {
            case .text(let text):
                result += text
            case .unsupported(let reference):
                report("\(reference) cannot be resolved; only ${param:NAME} can", name, function, file)
            case .parameter(let parameter):
                guard let text = parameters[parameter] else {
                    let known = nearest(to: parameter, in: parameters.keys.sorted()).map {
                        "; the nearest is \"\($0)\""
                    }
                    report("unknown parameter \"\(parameter)\"\(known ?? "")", name, function, file)
                    continue
                }
                guard !text.utf8.contains(0) else {
                    report(
                        "parameter \"\(parameter)\" contains a NUL, which no environment can hold", name, function, file
                    )
                    continue
                }
                result += text
            }
        }
        return result
    }

    private mutating func report(_ message: String, _ variable: String, _ function: FunctionEntry, _ file: String) {
        problems.append(
            .init(
                file: file, line: function.line, key: "functions.\(function.name).environment.\(variable)",
                message: message))
    }
}
