import Glibc

/// What a function is configured with: its environment, read once at start.
///
/// Every accessor records what is missing or wrong and returns a stand-in, so that one start lists all faults;
/// the runtime refuses to serve while `faults` is not empty.
public final class Settings {
    private let environment: [String: String]
    /// One line per missing or wrong variable, naming it and the fix.
    public private(set) var faults: [String] = []

    public init(_ environment: [String: String]) { self.environment = environment }

    /// The settings in the environment of this process.
    static func fromProcess() -> Settings {
        var environment: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let pair = String(cString: text)
            if let equals = pair.firstIndex(of: "=") {
                environment[String(pair[..<equals])] = String(pair[pair.index(after: equals)...])
            }
            entry += 1
        }
        return Settings(environment)
    }

    /// A text that must be there and not be empty.
    public func text(_ name: String) -> String {
        guard let value = environment[name], !value.isEmpty else {
            faults.append("\(name) is not set: give the function a value for it under environment in functions.yml")
            return ""
        }
        return value
    }

    /// A text with a default for when it is absent or empty.
    public func text(_ name: String, default standard: String) -> String {
        guard let value = environment[name], !value.isEmpty else { return standard }
        return value
    }

    /// A whole number in `range`; `standard` when absent.
    public func integer(_ name: String, default standard: Int, in range: ClosedRange<Int>) -> Int {
        guard let value = environment[name], !value.isEmpty else { return standard }
        guard let number = Int(value), range.contains(number) else {
            faults.append(
                "\(name) is “\(value)”: it must be a whole number from \(range.lowerBound) to \(range.upperBound)")
            return standard
        }
        return number
    }

    /// Records a fault that only the caller can see, such as a text of the wrong form.
    public func fault(_ name: String, _ explanation: String) { faults.append("\(name) \(explanation)") }
}

/// A whole number that functions.yml may name: what it is when absent, and what it may be.
package struct NumberRule: Sendable {
    package let standard: Int
    package let range: ClosedRange<Int>

    package init(_ standard: Int, in range: ClosedRange<Int>) {
        self.standard = standard
        self.range = range
    }

    /// Seconds that one invocation may take; 6 as in the Serverless Framework.
    package static let timeout = NumberRule(6, in: 1...900)
    /// Worker threads of a process.
    package static let concurrency = NumberRule(4, in: 1...256)
}

extension Settings {
    package func integer(_ name: String, _ rule: NumberRule) -> Int {
        integer(name, default: rule.standard, in: rule.range)
    }

    /// How the runtime itself is configured; rendered from functions.yml.
    package struct Process: Sendable {
        /// TAPROOM_FUNCTION: the name in functions.yml.
        package let function: String
        /// TAPROOM_ROUTES: separated by newlines, `METHOD /path/{parameter}/`.
        let routes: [RouteTemplate]
        package let timeoutMilliseconds: Int
        /// TAPROOM_CONCURRENCY: worker threads of this process.
        package let concurrency: Int
        /// TAPROOM_SCHEDULE, in seconds: the interval of a scheduled function; `nil` for any other.
        var scheduleSeconds: Int?

        /// Seconds of the longest interval: a leap year.
        package static let longestSchedule = 31_622_400
    }

    /// TAPROOM_TIMEOUT, which is in seconds.
    package var timeoutMilliseconds: Int { 1000 * integer("TAPROOM_TIMEOUT", .timeout) }

    package func process() -> Process {
        let routes = text("TAPROOM_ROUTES", default: "")
            .split(separator: "\n")
            .compactMap { line -> RouteTemplate? in
                guard let template = RouteTemplate(String(line)) else {
                    fault("TAPROOM_ROUTES", "has “\(line)”: a route is METHOD /path/{parameter}")
                    return nil
                }
                return template
            }
        let schedule = integer("TAPROOM_SCHEDULE", default: 0, in: 1...Process.longestSchedule)
        return Process(
            function: text("TAPROOM_FUNCTION", default: "function"),
            routes: routes,
            timeoutMilliseconds: timeoutMilliseconds,
            concurrency: integer("TAPROOM_CONCURRENCY", .concurrency),
            scheduleSeconds: schedule == 0 ? nil : schedule)
    }
}
