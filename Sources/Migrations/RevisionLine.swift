/// Puts revisions in order and says what keeps them from being one line: two of one id, one whose predecessor is not
/// there, two that follow the same one, a cycle.
struct RevisionLine {
    private(set) var ordered: [Revision] = []
    private(set) var problems: [FileProblem] = []
    private let files: [String: RevisionFile]

    /// - Parameter files: those of the revisions, for their line numbers.
    init(_ revisions: [Revision], files: [RevisionFile]) {
        self.files = Dictionary(files.map { ($0.path, $0) }) { first, _ in first }
        var byID: [String: Revision] = [:]
        var followers: [String?: [Revision]] = [:]
        for revision in revisions {
            if let first = byID[revision.id] {
                report(revision, "revision", "revision \(revision.id) is also in \(first.path): give one a new id")
                continue
            }
            byID[revision.id] = revision
            followers[revision.downRevision, default: []].append(revision)
        }
        findStrays(byID)
        findBranches(followers)
        findCycles(byID)
        var next = followers[nil]?.first
        while problems.isEmpty, let revision = next {
            ordered.append(revision)
            next = followers[revision.id]?.first
        }
    }

    private mutating func report(_ revision: Revision, _ key: String, _ text: String) {
        let line = files[revision.path]?.line(of: key) ?? 1
        problems.append(FileProblem(path: revision.path, line: line, text: text))
    }

    private mutating func findStrays(_ byID: [String: Revision]) {
        for revision in byID.values.sorted(by: { $0.path < $1.path }) {
            if let down = revision.downRevision, byID[down] == nil {
                report(revision, "down revision", "down revision \(down) is in no file of this folder")
            }
        }
    }

    private mutating func findBranches(_ followers: [String?: [Revision]]) {
        for (down, revisions) in followers.sorted(by: { ($0.key ?? "") < ($1.key ?? "") }) {
            for revision in revisions.dropFirst() {
                let place = down.map { "also follows \($0)" } ?? "also has no down revision"
                report(
                    revision, "down revision",
                    "Multiple head revisions are present: \(revisions[0].path) \(place); "
                        + "let the newer of the two follow the other")
            }
        }
    }

    private mutating func findCycles(_ byID: [String: Revision]) {
        var reported: Set<String> = []
        for revision in byID.values.sorted(by: { $0.path < $1.path }) where !reported.contains(revision.id) {
            var trail: [String] = []
            var next: Revision? = revision
            while let step = next, !trail.contains(step.id) {
                trail.append(step.id)
                next = step.downRevision.flatMap { byID[$0] }
            }
            guard let next, next.id == revision.id else { continue }
            reported.formUnion(trail)
            let circle = (trail + [revision.id]).joined(separator: " -> ")
            report(revision, "down revision", "the down revisions go round in a circle: \(circle)")
        }
    }
}
