/// One revision to apply or to take back; online and offline runs are made of the same steps.
public struct Step: Sendable {
    enum Kind { case upgrade, downgrade }

    let kind: Kind
    let revision: Revision

    var from: String? { kind == .upgrade ? revision.downRevision : revision.id }
    var to: String? { kind == .upgrade ? revision.id : revision.downRevision }
    var statements: [Statement] { kind == .upgrade ? revision.up : revision.down }

    /// Moves the version, in the transaction of the statements.
    var move: String { Bookkeeping.move(from: from, to: to) }
    /// Keeps or drops the checksum, in the same transaction.
    var mark: String { kind == .upgrade ? Bookkeeping.record(revision) : Bookkeeping.forget(revision) }

    /// As Alembic spells it, such as `Running upgrade 6640484e5703 -> 0c1d2e3f4a5b`.
    var title: String { "Running \(kind) \(from ?? "") -> \(to ?? "")" }
}

extension MigrationFolder {
    /// The steps between two positions, in the order of running.
    func steps(from start: Int, to end: Int) -> [Step] {
        start <= end
            ? revisions[start..<end].map { Step(kind: .upgrade, revision: $0) }
            : revisions[end..<start].reversed().map { Step(kind: .downgrade, revision: $0) }
    }
}

/// What a run reports while it goes on.
public enum MigrationProgress: Sendable, CustomStringConvertible {
    /// Another run holds the lock; the text says which session of PostgreSQL.
    case waiting(String)
    case running(Step)
    /// It was ended as one half of a deadlock and begins again.
    case repeating(Step)
    /// It waited for a lock, gave way to those who queue behind it, and begins again; the text says who holds it.
    case givingWay(Step, holders: String)
    case stamping(from: String?, to: String?)

    public var description: String {
        switch self {
        case .waiting(let text): text
        case .running(let step): "\(step.title), \(step.revision.message)"
        case .repeating(let step): "\(step.title), again after a deadlock with another session"
        case .givingWay(let step, let holders): "\(step.title), again, for it got no lock\(holders)"
        case .stamping(let from, let to): "Running stamp_revision \(from ?? "") -> \(to ?? "")"
        }
    }
}
