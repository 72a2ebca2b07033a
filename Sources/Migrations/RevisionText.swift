/// The lines that Alembic prints about revisions.
extension MigrationFolder {
    /// `6640484e5703 (head)`, as `current` and `heads` say it.
    public func label(_ revision: String) -> String {
        revision == head ? "\(revision) (head)" : revision
    }

    /// `<base> -> 6640484e5703 (head), approved model`, as `history` says it.
    /// - Parameter current: the revision to mark as `(current)`, if any.
    public func historyLine(_ revision: Revision, current: String? = nil) -> String {
        let mark = revision.id == current ? " (current)" : ""
        return "\(revision.downRevision ?? "<base>") -> \(label(revision.id))\(mark), \(revision.message)"
    }

    /// The paragraph that `show` and `-v` print; it ends with a blank line.
    public func logEntry(_ revision: Revision, current: String? = nil) -> String {
        let mark = revision.id == current ? " (current)" : ""
        return """
            Rev: \(label(revision.id))\(mark)
            Parent: \(revision.downRevision ?? "<base>")
            Path: \(revision.path)

                \(revision.message)

                Revision ID: \(revision.id)
                Revises:\(revision.downRevision.map { " \($0)" } ?? "")

            """
    }
}
