import Messaging

extension Manifest {
    /// What the process of `function` finds in its environment: the variables that tell it who it is, where its libraries
    /// are and how glibc keeps free memory and looks names up, then its own entries with parameters filled in. No name
    /// occurs twice; an own entry counts.
    ///
    /// Throws a ``ManifestError`` that names every parameter `deployment` does not have.
    public func environment(of function: FunctionEntry, in deployment: Deployment) throws -> [(String, String)] {
        var problems: [ManifestError.Problem] = []
        let own = function.environment.map { name, value in
            let text = resolve(value, deployment.parameters) { message in
                problems.append(problem(message, of: function, at: "environment.\(name)"))
            }
            return (name, text)
        }
        guard problems.isEmpty else { throw ManifestError(problems: problems) }
        let libraries = deployment.libraryFolder.map { [("LD_LIBRARY_PATH", $0)] } ?? []
        let defaults = libraries + [("GLIBC_TUNABLES", Self.tunables), ("RES_OPTIONS", Self.resolverOptions)]
        return [
            ("TAPROOM_FUNCTION", function.name),
            ("TAPROOM_ROUTES", function.routes.map { "\($0.method) \($0.path)" }.joined(separator: "\n")),
            ("TAPROOM_TIMEOUT", "\(function.timeout)"),
            ("TAPROOM_CONCURRENCY", "\(function.reservedConcurrency)"),
        ] + (function.source?.variables ?? []) + defaults.filter { name, _ in !own.contains { $0.0 == name } } + own
    }

    /// Each thread keeps free pieces of memory of up to 128 bytes to itself, in place of glibc's 1032. The larger ones cost
    /// a function under load 0.3 to 0.8 MB, and spare it no time that could be measured (`docs/performance.md`, "Memory").
    private static let tunables = "glibc.malloc.tcache_max=128"

    /// libpq looks names up while nobody counts the time: a name server that is silent would hold a session for 5 s, twice.
    private static let resolverOptions = "timeout:1 attempts:2"

    /// How the variables begin that tell a function who it is; no entry of its own may.
    static let reservedPrefix = "TAPROOM_"

    /// The value with its parameters filled in; without those that cannot be, each of which is reported.
    private func resolve(_ value: String, _ parameters: [String: String], report: (String) -> Void) -> String {
        var result = ""
        for piece in VariableText(value).pieces {
            switch piece {
            case .text(let text):
                result += text
            case .unsupported(let reference):
                report("\(reference) cannot be resolved; only ${param:NAME} can")
            case .parameter(let parameter):
                guard let text = parameters[parameter] else {
                    let hint = nearestHint(to: parameter, in: parameters.keys.sorted())
                    report("unknown parameter \"\(parameter)\"\(hint)")
                    continue
                }
                guard !text.utf8.contains(0) else {
                    report("parameter \"\(parameter)\" contains a NUL, which no environment can hold")
                    continue
                }
                result += text
            }
        }
        return result
    }
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
