/// Scripts for `--sql`: what a run would do, as text for psql, without a database.
///
/// All of a script is one transaction, so that a failure half way leaves nothing behind even where psql goes on after
/// an error. On a database that is not where the script begins nothing is done.
extension MigrationFolder {
    /// - Parameter range: `end`, from base, or `start:end`.
    public func upgradeScript(_ range: String) throws(MigrationError) -> String {
        let (start, end) = Self.range(range) ?? ("base", range)
        let first = try position(of: start, from: nil)
        let last = try position(of: end, from: first)
        guard first <= last else { throw .invalidTarget("\(range): an upgrade goes from an older to a newer revision") }
        return script(steps(from: first, to: last).flatMap(statements), creating: first == 0)
    }

    /// - Parameter range: `start:end`.
    public func downgradeScript(_ range: String) throws(MigrationError) -> String {
        guard let (start, end) = Self.range(range), !start.isEmpty else {
            throw .invalidTarget("downgrade with --sql requires <fromrev>:<torev>")
        }
        let first = try position(of: start, from: nil)
        let last = try position(of: end, from: first)
        guard first >= last else {
            throw .invalidTarget("\(range): a downgrade goes from a newer to an older revision")
        }
        return script(steps(from: first, to: last).flatMap(statements), creating: false)
    }

    /// - Parameter range: `end`, from base, or `start:end`.
    public func stampScript(_ range: String) throws(MigrationError) -> String {
        let (start, end) = Self.range(range) ?? ("base", range)
        let first = try position(of: start, from: nil)
        let last = try position(of: end, from: first)
        let title = "-- \(MigrationProgress.stamping(from: id(at: first), to: id(at: last)))"
        let statements = [Bookkeeping.require(id(at: first))] + stamp(from: id(at: first), to: last)
        return script([title] + statements.map(terminated), creating: first == 0)
    }

    private func statements(of step: Step) -> [String] {
        ["-- \(step.title)"]
            + ([Bookkeeping.require(step.from)] + step.statements.map(\.text) + [step.move, step.mark]).map(terminated)
    }

    private func script(_ body: [String], creating: Bool) -> String {
        // A database that Alembic brought to the start has no table of checksums yet.
        let tables = (creating ? [Bookkeeping.createVersionTable] : []) + [Bookkeeping.createChecksumTable]
        return (["BEGIN;"] + tables.map(terminated) + body + ["COMMIT;"]).joined(separator: "\n\n") + "\n"
    }

    /// The semicolon stands on a line of its own behind a comment that ends the statement.
    private func terminated(_ statement: String) -> String {
        statement.split(separator: "\n").last?.contains("--") == true ? "\(statement)\n;" : "\(statement);"
    }

    /// Moves the version without running anything, and takes the files up to it as they are now.
    func stamp(from: String?, to end: Int) -> [String] {
        [Bookkeeping.move(from: from, to: id(at: end))]
            + [Bookkeeping.forgetChecksums] + revisions[..<end].map(Bookkeeping.record)
    }
}
