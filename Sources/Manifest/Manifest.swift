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
    /// In the order of the file; at least one, unless there is a schedule.
    public let routes: [Route]
    /// When it runs by itself; a function has either routes or a schedule.
    public let schedule: Schedule?

    let line: Int?

    /// The service that owns the function: the part of the handler before the slash.
    public var service: String { String(handler.prefix { $0 != "/" }) }
    /// File name of the executable.
    public var executable: String { handler.drop { $0 != "/" }.dropFirst() + "Function" }
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
