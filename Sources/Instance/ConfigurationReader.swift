import Foundation
internal import Manifest

/// Collects the values of all keys from the file and the environment, and every problem on the way.
struct ConfigurationReader {
    private let keys: [ConfigurationKey]
    private let environment: [String: String]
    private var values: [String: String] = [:]
    private(set) var problems: [String] = []

    init(keys: [ConfigurationKey], environment: [String: String]) {
        self.keys = keys
        self.environment = environment
    }

    func value(_ path: String) -> String { values[path] ?? "" }

    /// Whether the value that was given for a key is refused.
    func hasProblem(_ path: String) -> Bool { keys.contains { $0.path == path && hasProblem($0) } }

    mutating func missing(_ path: String) {
        guard let key = keys.first(where: { $0.path == path }), !hasProblem(key) else { return }
        problems.append("\(path) is missing: \(key.fix) (or set \(key.variable))")
    }

    mutating func read(_ data: Data) {
        refuseUnknownVariables()
        let root: JSONValue
        do {
            root = try JSONDecoder().decode(JSONValue.self, from: data)
        } catch {
            problems.append("is no JSON: \(Self.explanation(error))")
            return
        }
        guard case .object(let members) = root else {
            problems.append("must hold one JSON object, as model_config.json does")
            return
        }
        let found = Self.flatten(members)
        for (path, value) in found.sorted(by: { $0.key < $1.key }) { take(path, value) }
        for key in keys {
            if let override = environment[key.variable], !override.isEmpty {
                problems.removeAll { $0.hasPrefix(key.path + " ") }
                values[key.path] = nil
                check(key, override, source: key.variable)
            } else if values[key.path] == nil, let standard = key.standard {
                if !hasProblem(key) { values[key.path] = standard }
            } else if values[key.path] == nil {
                missing(key.path)
            }
        }
    }

    private func hasProblem(_ key: ConfigurationKey) -> Bool {
        problems.contains { $0.hasPrefix(key.path + " ") || $0.hasPrefix(key.variable + " ") }
    }

    private mutating func take(_ path: String, _ value: JSONValue) {
        guard let key = keys.first(where: { $0.path == path }) else {
            let hint = key(like: path, by: \.path).map { "did you mean \($0.path)?" }
            problems.append("\(path) is not a key: \(hint ?? "take it out; model_config.json has them all")")
            return
        }
        switch (value, path) {
        case (.number(let number), "gateway.port"): check(key, number, source: path)
        case (.text(let text), _) where path != "gateway.port": check(key, text, source: path)
        case (.text, _): problems.append("\(path) is a text: \(key.fix), without quotes")
        case (.other(let what), "gateway.port"): problems.append("\(path) is \(what): \(key.fix)")
        default: problems.append("\(path) is no text: \(key.fix)")
        }
    }

    /// A variable that begins like those of the keys is meant for one.
    private mutating func refuseUnknownVariables() {
        let beginnings = Set(
            keys.map { $0.regularVariable.split(separator: "_").prefix(2).joined(separator: "_") + "_" })
        let known = Set(keys.map(\.variable))
        for (name, value) in environment.sorted(by: { $0.key < $1.key })
        where !value.isEmpty && !known.contains(name) && beginnings.contains(where: name.hasPrefix) {
            let hint = key(like: name, by: \.regularVariable).map { "did you mean \($0.variable)?" }
            problems.append("\(name) overrides no key: \(hint ?? "unset it; model_config.json has all keys")")
        }
    }

    /// The key whose name is nearest to a text, at most three edits away.
    private func key(like text: String, by name: (ConfigurationKey) -> String) -> ConfigurationKey? {
        keys.min { editDistance(name($0), text) < editDistance(name($1), text) }
            .flatMap { editDistance(name($0), text) <= 3 ? $0 : nil }
    }

    private mutating func check(_ key: ConfigurationKey, _ value: String, source: String) {
        guard key.accepts(value) else {
            problems.append(
                value.isEmpty ? "\(source) is empty: \(key.fix)" : "\(source) has no usable value: \(key.fix)")
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

    private static func explanation(_ error: any Error) -> String {
        guard case DecodingError.dataCorrupted(let context) = error else { return "\(error)" }
        let cause = (context.underlyingError as NSError?)?.userInfo["NSDebugDescription"] as? String
        return cause ?? context.debugDescription
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
