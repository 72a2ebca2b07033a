/// Everything that is wrong with a manifest, or with a manifest and a deployment together, at once.
public struct ManifestError: Error, Sendable, CustomStringConvertible {
    public struct Problem: Sendable, CustomStringConvertible {
        public let file: String
        /// Counted from 1; nil when the whole file is meant.
        public let line: Int?
        /// Dotted path of the key, such as `functions.charge.timeout`; empty for the file itself.
        public let key: String
        /// What is wrong and how to fix it.
        public let message: String

        public var description: String {
            let place = line.map { "\(file):\($0)" } ?? file
            return key.isEmpty ? "\(place): \(message)" : "\(place): \(key): \(message)"
        }
    }

    /// In the order of the file; never empty.
    public let problems: [Problem]
    /// What was ignored, as in ``Manifest/warnings``: a misspelt key is often why another one is missing.
    public let warnings: [String]

    init(problems: [Problem], warnings: [String] = []) {
        self.problems = problems
        self.warnings = warnings
    }

    /// One problem per line, then the warnings.
    public var description: String {
        (problems.map(\.description) + warnings.map { "warning: \($0)" }).joined(separator: "\n")
    }
}

extension FunctionEntry {
    /// Dotted path of its entry in the file.
    var key: String { "functions.\(name)" }
}

extension Manifest {
    /// - Parameters:
    ///   - function: whose entry it is about; `nil` for the file itself.
    ///   - key: dotted path below that entry, such as `environment.A`; `nil` for the entry itself.
    func problem(
        _ message: String, of function: FunctionEntry? = nil, at key: String? = nil
    ) -> ManifestError.Problem {
        ManifestError.Problem(
            file: file, line: function?.line,
            key: [function?.key, key].compactMap(\.self).joined(separator: "."), message: message)
    }
}
