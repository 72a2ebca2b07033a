/// Collects what is found while one file is read, so that all of it is told at once.
final class Diagnostics {
    let file: String
    private(set) var problems: [ManifestError.Problem] = []
    private(set) var warnings: [String] = []

    init(file: String) {
        self.file = file
    }

    func report(_ message: String, key: String = "", line: Int?) {
        problems.append(.init(file: file, line: line, key: key, message: message))
    }

    func warn(_ message: String, key: String, line: Int?) {
        warnings.append(ManifestError.Problem(file: file, line: line, key: key, message: message).description)
    }

    /// In the order of the file; those without a line last.
    var error: ManifestError? {
        guard !problems.isEmpty else { return nil }
        let ordered = problems.enumerated().sorted {
            ($0.element.line ?? .max, $0.offset) < ($1.element.line ?? .max, $1.offset)
        }
        return ManifestError(problems: ordered.map(\.element), warnings: warnings)
    }
}
