@testable import Manifest

/// A manifest of one function `f` with these further keys and these events.
func manifest(_ keys: String..., events: String...) throws -> Manifest {
    try Manifest.parse(text(keys: keys, events: events), file: "functions.yml")
}

/// What is said about such a manifest; empty when it is sound.
func problems(_ keys: String..., events: String...) -> [String] {
    problems(in: text(keys: keys, events: events))
}

func problems(in text: String) -> [String] {
    do {
        _ = try Manifest.parse(text, file: "functions.yml")
        return []
    } catch let error as ManifestError {
        return error.problems.map(\.description)
    } catch {
        return ["\(error)"]
    }
}

private func text(keys: [String], events: [String]) -> String {
    let lines =
        ["functions:", "  f:", "    handler: Service/F"] + keys.map { "    \($0)" } + ["    events:"]
        + events.map { "      \($0)" }
    return lines.joined(separator: "\n")
}
