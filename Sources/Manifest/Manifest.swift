/// What `functions.yml` says: every function, its routes, limits and environment.
///
/// A value of this type has passed every check that needs no machine: names, paths, limits, clashes of routes.
/// Parameters (`${param:…}`) are the only open ends; they are filled in from a ``Deployment`` when something is rendered.
public struct Manifest: Sendable {
    /// In the order of the file.
    public let functions: [FunctionEntry]
    /// What was ignored, one sentence each, with file and line. A tool shows them and goes on.
    public let warnings: [String]

    let file: String
}

/// One function: an executable of its own, with the routes that lead to it.
public struct FunctionEntry: Sendable {
    /// Letters, digits, `-` and `_`; unique in the manifest. Names the socket, the log file and the supervised group.
    public let name: String
    /// As written: `Service/Function`.
    public let handler: String
    public let description: String?
    /// Seconds that one invocation may take.
    public let timeout: Int
    /// Worker threads of the process: how many invocations run at once.
    public let reservedConcurrency: Int
    /// As written, `${param:…}` unresolved, in the order of the file. See ``Manifest/environment(of:in:)``.
    public let environment: [(String, String)]
    /// In the order of the file; empty when something else makes it run.
    public let routes: [Route]
    /// What makes it run when no route does.
    public let source: EventSource?

    let line: Int?

    /// When it runs by itself.
    public var schedule: Schedule? { if case .schedule(let schedule)? = source { schedule } else { nil } }
    /// The queue whose events it handles.
    public var queue: QueueTrigger? { if case .queue(let queue)? = source { queue } else { nil } }
    /// The outbox that it publishes.
    public var outbox: OutboxTrigger? { if case .outbox(let outbox)? = source { outbox } else { nil } }
    /// What triggers it, in one word: `http`, `schedule`, `rabbitmq` or `outbox`.
    public var kind: String {
        switch source {
        case nil: "http"
        case .schedule: "schedule"
        case .queue: "rabbitmq"
        case .outbox: "outbox"
        }
    }
    /// Whether it works with the broker: it consumes a queue or publishes an outbox.
    public var usesBroker: Bool { queue != nil || outbox != nil }

    /// File name of the executable.
    public var executable: String { handler.drop { $0 != "/" }.dropFirst() + "Function" }
}

/// What makes a function without routes run. Its process has no listening socket.
public enum EventSource: Sendable, Equatable {
    case schedule(Schedule)
    case queue(QueueTrigger)
    case outbox(OutboxTrigger)
}

/// How often a function runs by itself: at whole multiples of the interval.
public struct Schedule: Sendable, Equatable {
    /// The interval.
    public let seconds: Int
    /// A function whose schedule is switched off has no process; it can be invoked all the same.
    public let isEnabled: Bool

    /// As functions.yml spells it, in the largest unit that fits: `rate(5 minutes)`.
    public var rate: String {
        let (unit, name) =
            [(86_400, "day"), (3600, "hour"), (60, "minute")].first { seconds % $0.0 == 0 } ?? (1, "second")
        return "rate(\(seconds / unit) \(name)\(seconds == unit ? "" : "s"))"
    }
}

/// A method and the path template that it answers.
public struct Route: Sendable {
    /// Upper case. `HEAD` comes with `GET`, and `OPTIONS` is the gateway's: neither is ever listed.
    public let method: String
    /// Starts with a slash, else as written: `/club/{id}/subscribe/`. It stands for both spellings, with and without
    /// the trailing slash.
    public let path: String
    /// Whether browsers on other origins may call it.
    public let cors: Bool

    let line: Int?

    var shape: PathShape { PathShape(path) }
}
