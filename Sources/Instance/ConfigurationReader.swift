import Foundation
import Manifest
import Runtime

/// Collects the values of all keys from the file and the environment, and every problem on the way.
struct ConfigurationReader {
    private let keys: [ConfigurationKey]
    private let environment: [String: String]
    private var values: [String: String] = [:]
    private var found: [(key: String, text: String)] = []

    /// One sentence each.
    var problems: [String] { found.map { $0.key.isEmpty ? $0.text : "\($0.key) \($0.text)" } }

    init(keys: [ConfigurationKey], environment: [String: String]) {
        self.keys = keys
        self.environment = environment
    }

    func value(_ path: String) -> String { values[path] ?? "" }

    /// Whether the value that was given for a key is refused.
    func hasProblem(_ path: String) -> Bool { keys.contains { $0.path == path && hasProblem($0) } }

    mutating func missing(_ path: String) {
        guard let key = keys.first(where: { $0.path == path }), !hasProblem(key) else { return }
        report(path, "is missing: \(key.fix) (or set \(key.variable))")
    }

    /// - Returns: false when the file holds no keys at all: what it lacks is not among the problems then.
    mutating func read(_ data: Data) -> Bool {
        refuseUnknownVariables()
        guard let root = try? JSONDecoder().decode(JSONValue.self, from: data) else {
            report("", "is not JSON\(Self.faultPlace(in: data))")
            return false
        }
        guard case .object(let members) = root else {
            report("", "must hold one JSON object, as model_config.json does")
            return false
        }
        for (path, value) in Self.flatten(members).sorted(by: { $0.key < $1.key }) { take(path, value) }
        for key in keys {
            if let override = environment[key.variable], !override.isEmpty {
                found.removeAll { $0.key == key.path }
                values[key.path] = nil
                check(key, override, source: key.variable)
            } else if values[key.path] == nil, let standard = key.standard {
                if !hasProblem(key) { values[key.path] = standard }
            } else if values[key.path] == nil {
                missing(key.path)
            }
        }
        return true
    }

    /// - Parameter key: the key or the variable that is meant; empty for the file itself.
    private mutating func report(_ key: String, _ text: String) { found.append((key, text)) }

    private func hasProblem(_ key: ConfigurationKey) -> Bool {
        found.contains { $0.key == key.path || $0.key == key.variable }
    }

    private mutating func take(_ path: String, _ value: JSONValue) {
        guard let key = keys.first(where: { $0.path == path }) else {
            let hint = key(like: path, by: \.path).map { "did you mean \($0.path)?" }
            report(path, "is not a key: \(hint ?? "take it out; model_config.json has them all")")
            return
        }
        switch (value, path) {
        case (.number(let number), "gateway.port"): check(key, number, source: path)
        case (.text(let text), _) where path != "gateway.port": check(key, text, source: path)
        case (.text, _): report(path, "is a text: \(key.fix), without quotes")
        case (.other(let what), "gateway.port"): report(path, "is \(what): \(key.fix)")
        default: report(path, "must be a string: \(key.fix)")
        }
    }

    /// A variable that begins like those of the keys, or is spelt nearly like one that is read, is meant for it.
    private mutating func refuseUnknownVariables() {
        let beginnings = Set(
            keys.map { $0.regularVariable.split(separator: "_").prefix(2).joined(separator: "_") + "_" })
        let others = ["TAPROOM_STATE", "TAPROOM_SCOPE", "TAPROOM_CONFIG"]
        let known = Set(keys.map(\.variable) + others)
        for (name, value) in environment.sorted(by: { $0.key < $1.key })
        where !value.isEmpty && name.hasPrefix("TAPROOM_") && !known.contains(name) {
            if beginnings.contains(where: name.hasPrefix) {
                let hint = key(like: name, by: \.regularVariable).map { "did you mean \($0.variable)?" }
                report(name, "overrides no key: \(hint ?? "unset it; model_config.json has all keys")")
            } else if let meant = known.sorted().first(where: { editDistance($0, name) <= 2 }) {
                report(name, "is not a known variable: did you mean \(meant)?")
            }
        }
    }

    /// The key whose name is nearest to a text, at most three edits away.
    private func key(like text: String, by name: (ConfigurationKey) -> String) -> ConfigurationKey? {
        keys.min { editDistance(name($0), text) < editDistance(name($1), text) }
            .flatMap { editDistance(name($0), text) <= 3 ? $0 : nil }
    }

    private mutating func check(_ key: ConfigurationKey, _ value: String, source: String) {
        guard key.accepts(value) else {
            report(source, value.isEmpty ? "is empty: \(key.fix)" : "has no usable value: \(key.remedy(for: value))")
            return
        }
        values[key.path] = value
    }

    private static func flatten(_ members: [String: JSONValue], prefix: String = "") -> [String: JSONValue] {
        var flat: [String: JSONValue] = [:]
        for (name, value) in members {
            if case .object(let inner) = value, !inner.isEmpty {
                flat.merge(flatten(inner, prefix: prefix + name + ".")) { _, new in new }
            } else if case .object = value {
                continue
            } else {
                flat[prefix + name] = value
            }
        }
        return flat
    }

    /// Where a text stops being JSON, for people.
    private static func faultPlace(in data: Data) -> String {
        guard let fault = JSONSyntax.fault(in: Array(data)) else { return "" }
        let lines = data.prefix(fault).split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let column = String(decoding: lines.last ?? Data(), as: UTF8.self).count + 1
        return " at line \(lines.count), column \(column)"
    }
}

/// JSON as far as a configuration file goes.
enum JSONValue: Decodable {
    case object([String: JSONValue])
    case text(String)
    /// A whole number's digits.
    case number(String)
    /// In words.
    case other(String)

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let object = try? container.decode([String: JSONValue].self) {
            self = .object(object)
        } else if let text = try? container.decode(String.self) {
            self = .text(text)
        } else if let truth = try? container.decode(Bool.self) {
            self = .other("\(truth)")
        } else if let number = try? container.decode(Int.self) {
            self = .number("\(number)")
        } else if let number = try? container.decode(Double.self) {
            self = .other("\(number)")
        } else {
            self = .other(container.decodeNil() ? "null" : "a list")
        }
    }
}
