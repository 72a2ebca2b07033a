import Runtime
import Yams

/// One mapping of the file. Each getter reports a value of the wrong type and then answers nil, as for an absent key.
struct Section {
    /// Dotted path of the mapping, as in `functions.charge`.
    let key: String
    let line: Int?
    let diagnostics: Diagnostics
    let entries: [(name: String, line: Int?, value: Node)]

    /// Nil, with a report, when `node` is not a mapping.
    init?(_ node: Node, key: String, line: Int?, diagnostics: Diagnostics) {
        guard case .mapping(let mapping) = node else {
            diagnostics.report("must be a mapping of keys to values, not \(node.kind)", key: key, line: line)
            return nil
        }
        self.key = key
        self.line = line
        self.diagnostics = diagnostics
        entries = mapping.compactMap { name, value in
            guard case .scalar(let scalar) = name else {
                diagnostics.report("a key must be text, not \(name.kind)", key: key, line: name.mark?.line)
                return nil
            }
            return (scalar.string, name.mark?.line, value)
        }
    }

    func path(_ name: String) -> String { key.isEmpty ? name : "\(key).\(name)" }

    func line(of name: String) -> Int? { entries.first { $0.name == name }?.line ?? line }

    func value(_ name: String) -> Node? { entries.first { $0.name == name }?.value }

    func section(_ name: String) -> Section? {
        value(name).flatMap { Section($0, key: path(name), line: line(of: name), diagnostics: diagnostics) }
    }

    func string(_ name: String) -> String? {
        scalar(name, of: .str, "text")
    }

    /// One text, or a list of them.
    func strings(_ name: String) -> [String]? {
        guard case .sequence(let nodes)? = value(name) else { return string(name).map { [$0] } }
        let texts = nodes.compactMap { node -> String? in
            guard case .scalar(let scalar) = node, Resolver.default.resolveTag(of: node) == .str else {
                report("must be a list of texts; one of it is \(node.kind)", name)
                return nil
            }
            return scalar.string
        }
        return texts.count == nodes.count ? texts : nil
    }

    func boolean(_ name: String) -> Bool? {
        scalar(name, of: .bool, "true or false").flatMap { Bool.construct(from: Node.Scalar($0)) }
    }

    /// The rule's default when it is absent, or reported as wrong.
    func integer(_ name: String, _ rule: NumberRule, of unit: String) -> Int {
        guard let node = value(name) else { return rule.standard }
        let range = rule.range
        let whole = "must be a whole number of \(unit) from \(range.lowerBound) to \(range.upperBound)"
        guard case .scalar(let scalar) = node, Resolver.default.resolveTag(of: node) == .int else {
            report("\(whole), not \(node.kind)", name)
            return rule.standard
        }
        // Numbers to the base of 60, as 1:30, would be computed without regard to their size.
        guard !scalar.string.contains(":"), let number = Int.construct(from: scalar), range.contains(number) else {
            report("\(whole), not \(scalar.string)", name)
            return rule.standard
        }
        return number
    }

    func report(_ message: String, _ name: String) {
        diagnostics.report(message, key: path(name), line: line(of: name))
    }

    func warn(_ message: String, _ name: String) {
        diagnostics.warn(message, key: path(name), line: line(of: name))
    }

    func warnAboutKeys(except known: [String]) {
        for entry in entries where !known.contains(entry.name) {
            let hint = nearest(to: entry.name, in: known).map { "; the nearest known one is \"\($0)\"" } ?? ""
            diagnostics.warn("unknown key, ignored\(hint)", key: path(entry.name), line: entry.line)
        }
    }

    private func scalar(_ name: String, of tag: Tag.Name, _ type: String) -> String? {
        guard let node = value(name) else { return nil }
        guard case .scalar(let scalar) = node, Resolver.default.resolveTag(of: node) == tag else {
            report("must be \(type), not \(node.kind)", name)
            return nil
        }
        return scalar.string
    }
}

extension Node {
    /// What it is, for a message.
    var kind: String {
        switch self {
        case .mapping: "a mapping"
        case .sequence: "a list"
        case .alias: "an alias"
        case .scalar(let scalar):
            switch Resolver.default.resolveTag(of: self) {
            case .null: "nothing"
            case .str: "the text \"\(scalar.string)\""
            default: scalar.string
            }
        }
    }
}
