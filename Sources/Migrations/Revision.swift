/// One step of a service's schema: a SQL file with an up and a down part.
///
/// The file is named `<revision>_<slug>.sql` and reads
///
/// ```sql
/// -- revision: 6640484e5703
/// -- down revision: none
/// -- message: approved model
///
/// -- migrate: up
/// CREATE TABLE …;
/// -- migrate: down
/// DROP TABLE …;
/// ```
///
/// Above `-- migrate: up` stand only comments and blank lines; the three header lines come in any order. A line that
/// begins with `-- migrate:` is a marker wherever it stands. Both parts must be there, up before down, and may be
/// empty. Statements end with a semicolon; those of a part run in one transaction, so they hold no BEGIN or COMMIT.
///
/// Others write while it runs. It locks tables in the order in which the revisions create them, so `subscription`
/// before `subscription_status_history`; for triggers, indexes and ALTER TABLE that is done beforehand, except with
/// `--sql`. A function that stores a search path names its schema and then `pg_temp`.
public struct Revision: Sendable {
    /// 1 to 32 letters and digits, as `alembic_version.version_num` holds it.
    public let id: String
    /// The revision this one follows; `nil` for the first.
    public let downRevision: String?
    public let message: String
    /// Where the file is, as the folder was given.
    public let path: String
    /// SHA-256 of the file's bytes, in hexadecimal.
    public let checksum: String
    let up: [Statement]
    let down: [Statement]

    /// The file's name without its folder.
    var file: String { path.split(separator: "/").last.map(String.init) ?? path }
}

/// One SQL statement of a file.
struct Statement: Sendable, Equatable {
    /// From its first word up to its semicolon, without it.
    let text: String
    /// The line of its first word, from 1.
    let line: Int
}

/// What is wrong at one place of a migration file.
public struct FileProblem: Sendable, Equatable, CustomStringConvertible {
    public let path: String
    /// From 1.
    public let line: Int
    /// What is wrong and how to fix it.
    public let text: String

    public var description: String { "\(path):\(line): \(text)" }
}
