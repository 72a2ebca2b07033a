import Postgres
import Runtime

/// `GET /readyz`: the database answers and has the migration that this version of the functions needs; it may have later
/// ones. How many charges have been in doubt for over an hour is said too, and is no reason not to be ready.
@main
struct Readyz: HTTPFunction {
    private let database: Database
    private let head: String

    init(_ settings: Settings) {
        database = Database(settings)
        head = settings.text("MIGRATION_HEAD")
    }

    func handle(_ event: HTTPEvent, _ context: Context) throws -> HTTPResponse {
        let rows: Rows
        do {
            rows = try database.execute("SELECT version_num FROM alembic_version", deadline: context.deadline)
        } catch let error as PostgresError where error.sqlState == SQLState.undefinedTable {
            throw notMigrated(Self.unmigrated)
        }
        let current = try rows.map { try $0.decode(String.self) }
        if current.isEmpty { throw notMigrated(Self.unmigrated) }
        guard try current == [head] || isPastHead(current, context) else {
            throw notMigrated(
                "it is at \(current.joined(separator: ", ")), and nothing records that \(head) came before: it is behind, "
                    + "or Alembic brought it ahead")
        }
        let doubts = try database.execute(
            "SELECT count(*) FROM charge_doubt WHERE since < clock_timestamp() - interval '1 hour'",
            deadline: context.deadline)[0].decode(Int.self)
        return try .json(Readiness(status: "ready", migration: current[0], oldDoubts: doubts))
    }

    /// Whether `head` is among the migrations that are recorded as applied. Alembic, which keeps no such record, may have
    /// gone back since: to one that was recorded before.
    private func isPastHead(_ current: [String], _ context: Context) throws -> Bool {
        guard current.count == 1 else { return false }
        do {
            return try database.execute(
                """
                SELECT EXISTS (
                    SELECT FROM taproom_migration AS needed WHERE revision = \(head) AND NOT EXISTS (
                        SELECT FROM taproom_migration AS reached
                        WHERE reached.revision = \(current[0]) AND reached.applied_at < needed.applied_at))
                """, deadline: context.deadline)[0].decode(Bool.self)
        } catch let error as PostgresError
            where [SQLState.undefinedTable, SQLState.insufficientPrivilege].contains(error.sqlState)
        {
            return false
        }
    }

    private struct Readiness: Encodable {
        let status: String
        let migration: String
        let oldDoubts: Int
        enum CodingKeys: String, CodingKey {
            case status, migration
            case oldDoubts = "doubts_older_than_an_hour"
        }
    }

    private static let unmigrated = "no migration has run, or alembic_version was emptied"

    private func notMigrated(_ reason: String) -> Problem {
        Problem(
            "not-ready", status: 503, title: "Not ready",
            detail: "The database is not migrated: \(reason). “taproom doctor” names the command that migrates it."
        ).retryAfter(seconds: 5)
    }
}
