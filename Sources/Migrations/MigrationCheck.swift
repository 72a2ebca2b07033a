/// One thing that keeps a database and its folder from agreeing.
public enum MigrationFinding: Sendable, Equatable, CustomStringConvertible {
    /// An applied file does not have the bytes any more that were applied.
    case edited(path: String, revision: String)
    /// A file was applied and is gone.
    case missing(path: String, revision: String)
    /// The database is at a revision that no file has.
    case unknown(revision: String, folder: String)
    /// Revisions wait to be applied.
    case behind(current: String?, head: String)

    public var description: String {
        switch self {
        case .edited(let path, let revision):
            "\(path): edited since it was applied as \(revision); restore it, or accept it with stamp"
        case .missing(let path, let revision):
            "\(path): revision \(revision) was applied from it and the file is gone; restore it"
        case .unknown(let revision, let folder):
            "Can't locate revision identified by '\(revision)': the database is at it, no file in \(folder) is"
        case .behind(let current, let head):
            "Target database is not up to date: it is at \(current ?? "<base>"), the head is \(head); "
                + "run upgrade head"
        }
    }
}

extension Migrator {
    /// Everything in which database and folder differ; empty when the database is at head and the applied files are
    /// untouched. Revisions that Alembic applied have no checksum until our next run, and pass. Changes nothing.
    public func check() throws -> [MigrationFinding] {
        let current = try current()
        let recorded = try checksums()
        var findings: [MigrationFinding] = []
        for revision in folder.applied(at: current) {
            if let known = recorded[revision.id], known.checksum != revision.checksum {
                findings.append(.edited(path: revision.path, revision: revision.id))
            }
        }
        let files = Set(folder.revisions.map(\.id))
        for (id, known) in recorded.sorted(by: { $0.key < $1.key }) where !files.contains(id) {
            findings.append(.missing(path: "\(folder.path)/\(known.file)", revision: id))
        }
        if let current, !files.contains(current) {
            findings.append(.unknown(revision: current, folder: folder.path))
        } else if let head = folder.head, current != head {
            findings.append(.behind(current: current, head: head))
        }
        return findings
    }
}
