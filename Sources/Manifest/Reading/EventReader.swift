import Yams

/// What makes a function run.
enum Trigger {
    case route(Route)
    case source(EventSource)
}

/// Reads one trigger of a function: `httpApi` (API Gateway's HTTP API), `http` (its REST API) and `schedule` as text or
/// mapping, `rabbitmq` and `outbox` as mapping.
struct EventReader {
    private static let types = ["httpApi", "http", "schedule", "rabbitmq", "outbox"]
    private static let methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]

    let key: String
    let line: Int?
    /// What holds for an event that does not say otherwise.
    let functionCors: Bool
    let diagnostics: Diagnostics

    /// Nil, with a report, when it is not a trigger.
    func read(_ event: Node) -> Trigger? {
        guard let section = Section(event, key: key, line: line, diagnostics: diagnostics) else { return nil }
        guard let trigger = section.entries.first, section.entries.count == 1 else {
            let names = section.entries.map(\.name).joined(separator: ", ")
            diagnostics.report(
                "must be one trigger, not \(section.entries.count) keys (\(names)); "
                    + "indent what belongs to the trigger below it, and give each trigger a dash of its own",
                key: key, line: line)
            return nil
        }
        guard Self.types.contains(trigger.name) else {
            section.report("unknown event; the known ones are \(Self.types.joined(separator: ", "))", trigger.name)
            return nil
        }
        switch trigger.name {
        case "schedule": return ScheduleReader(event: section).read().map { .source(.schedule($0)) }
        case "rabbitmq": return QueueReader(event: section).read().map { .source(.queue($0)) }
        case "outbox": return OutboxReader(event: section).read().map { .source(.outbox($0)) }
        default: break
        }
        if case .scalar = trigger.value {
            return section.string(trigger.name).flatMap { short($0, trigger.name, in: section) }.map(Trigger.route)
        }
        return section.section(trigger.name).flatMap { long($0, trigger.name) }.map(Trigger.route)
    }

    /// `"GET /club/{id}"`
    private func short(_ text: String, _ type: String, in section: Section) -> Route? {
        let words = text.split(separator: " ")
        guard words.count == 2 else {
            section.report("must be a method and a path, as in \"\(example(type))\", not \"\(text)\"", type)
            return nil
        }
        return route(
            method: String(words[0]), path: String(words[1]), cors: functionCors, type: type,
            line: section.line(of: type)
        ) { section.report($0, type) }
    }

    /// `{method: GET, path: "/club/{id}", cors: true}`
    private func long(_ section: Section, _ type: String) -> Route? {
        section.warnAboutKeys(except: ["method", "path", "cors"])
        for name in ["method", "path"] where section.value(name) == nil {
            section.report("is missing; a route is a method and a path, as in \"\(example(type))\"", name)
        }
        let cors = section.boolean("cors") ?? functionCors
        guard let method = section.string("method"), let path = section.string("path") else { return nil }
        return route(method: method, path: path, cors: cors, type: type, line: section.line) {
            diagnostics.report($0, key: section.key, line: section.line)
        }
    }

    private func route(
        method: String, path: String, cors: Bool, type: String, line: Int?, report: (String) -> Void
    ) -> Route? {
        let verb = method.uppercased()
        var problems: [String] = []
        if !Self.methods.contains(verb) {
            let reason =
                switch verb {
                case "HEAD": "HEAD is answered wherever GET is; "
                case "OPTIONS": "OPTIONS is answered by the gateway, see cors; "
                default: ""
                }
            problems.append("unknown method \"\(method)\"; \(reason)use \(Self.methods.joined(separator: ", "))")
        }
        // Serverless writes paths of its REST API without the leading slash.
        let template = path.hasPrefix("/") || type == "httpApi" ? path : "/\(path)"
        if !template.hasPrefix("/") {
            problems.append("bad path \"\(path)\": it does not start with a slash")
        }
        problems += PathShape.problems(in: template).map { "bad path \"\(path)\": \($0)" }
        problems.forEach(report)
        return problems.isEmpty ? Route(method: verb, path: template, cors: cors, line: line) : nil
    }

    private func example(_ type: String) -> String { type == "http" ? "get club/{id}" : "GET /club/{id}" }
}
