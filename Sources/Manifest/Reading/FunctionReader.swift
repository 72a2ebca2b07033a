import Runtime
import Yams

/// Reads one entry of `functions`. What it reports does not stop it: the rest of the entry is read all the same.
struct FunctionReader {
    private static let keys = [
        "handler", "events", "cors", "timeout", "reservedConcurrency", "environment", "description",
    ]
    /// Of the instance's programs, their logs and supervisord's control socket; `all` is its word for every program.
    private static let reservedNames = [
        "access", "all", "nginx", "postgres", "rabbitmq", "supervisor", "supervisord",
    ]

    private let name: String
    private let section: Section

    /// Nil, with a report, when `value` is not a mapping.
    init?(name: String, line: Int?, value: Node, in functions: Section) {
        guard
            let section = Section(
                value, key: functions.path(name), line: line, diagnostics: functions.diagnostics)
        else { return nil }
        self.name = name
        self.section = section
    }

    func read() -> FunctionEntry {
        section.warnAboutKeys(except: Self.keys)
        if name.wholeMatch(of: /[A-Za-z][A-Za-z0-9_-]{0,63}/) == nil {
            section.diagnostics.report(
                "a function's name is 1 to 64 letters, digits, - and _, a letter first", key: section.key,
                line: section.line)
        }
        if Self.reservedNames.contains(name) {
            section.diagnostics.report(
                "the instance itself uses the name \"\(name)\" for a program, a log or a socket; rename the function",
                key: section.key, line: section.line)
        }
        let triggers = triggers()
        let routes = triggers.compactMap { if case .route(let route) = $0 { route } else { nil } }
        let function = FunctionEntry(
            name: name, handler: handler(), description: section.string("description"),
            timeout: section.integer("timeout", .timeout, of: "seconds"),
            reservedConcurrency: section.integer("reservedConcurrency", .concurrency, of: "workers"),
            environment: environment(), routes: routes, source: source(triggers, isAlone: routes.isEmpty),
            line: section.line)
        warnAboutIdleSettings(of: function)
        return function
    }

    private func warnAboutIdleSettings(of function: FunctionEntry) {
        guard let source = function.source, function.routes.isEmpty else { return }
        if section.boolean("cors") == true { section.warn("has no effect: no browser calls \(source.article)", "cors") }
        if function.queue == nil, section.value("reservedConcurrency") != nil, function.reservedConcurrency > 1 {
            section.warn("has no effect: \(source.article) has one worker", "reservedConcurrency")
        }
    }

    private func handler() -> String {
        guard section.value("handler") != nil else {
            section.report("is missing; name the executable as Service/Function", "handler")
            return ""
        }
        guard let handler = section.string("handler") else { return "" }
        if handler.wholeMatch(of: /[A-Z][A-Za-z0-9]*\/[A-Z][A-Za-z0-9]*/) == nil {
            section.report(
                "must be Service/Function in upper camel case, as in Subscriptions/Charge, not \"\(handler)\"",
                "handler")
        }
        return handler
    }

    private func source(_ triggers: [Trigger], isAlone: Bool) -> EventSource? {
        let sources = triggers.compactMap { if case .source(let source) = $0 { source } else { nil } }
        if sources.count > 1 {
            let schedules = sources.count { if case .schedule = $0 { true } else { false } }
            section.report(
                schedules == sources.count
                    ? "has \(schedules) schedules; keep one"
                    : "has \(sources.count) events that are not routes; keep one, and make a function of each other",
                "events")
        }
        if let first = sources.first, !isAlone {
            section.report(
                "has \(first.article) beside a route; make two functions of it: a process serves one or the other",
                "events")
        }
        return sources.first
    }

    private func triggers() -> [Trigger] {
        let cors = section.boolean("cors") ?? false
        guard let node = section.value("events") else {
            section.report("is missing; without an event nothing calls the function", "events")
            return []
        }
        guard case .sequence(let events) = node else {
            section.report("must be a list of triggers, not \(node.kind)", "events")
            return []
        }
        if events.isEmpty { section.report("is empty; without an event nothing calls the function", "events") }
        return events.enumerated().compactMap { index, event in
            EventReader(
                key: "\(section.path("events"))[\(index)]", line: event.mark?.line, functionCors: cors,
                diagnostics: section.diagnostics
            ).read(event)
        }
    }

    private func environment() -> [(String, String)] {
        guard let variables = section.section("environment") else { return [] }
        return variables.entries.compactMap { name, _, value in
            if name.wholeMatch(of: /[A-Za-z_][A-Za-z0-9_]*/) == nil {
                variables.report("a variable's name is letters, digits and _, no digit first", name)
            } else if name.hasPrefix(Manifest.reservedPrefix) {
                variables.report(
                    "begins with \(Manifest.reservedPrefix), which is kept for what the rendered configuration sets; "
                        + "use another name", name)
            }
            guard case .scalar(let scalar) = value, Resolver.default.resolveTag(of: value) != .null else {
                variables.report("must be text or a number, not \(value.kind)", name)
                return nil
            }
            if scalar.string.utf8.contains(0) {
                variables.report("contains a NUL, which no environment can hold", name)
            }
            for case .unsupported(let reference) in VariableText(scalar.string).pieces {
                variables.report("\(reference) cannot be resolved; only ${param:NAME} can", name)
            }
            return (name, scalar.string)
        }
    }
}

extension EventSource {
    /// With its article, for a message.
    fileprivate var article: String {
        switch self {
        case .schedule: "a schedule"
        case .queue: "a queue"
        case .outbox: "an outbox"
        }
    }
}
