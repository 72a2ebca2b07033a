import Postgres
import Runtime

/// `GET /readyz`: the database answers and its migrations are at head. How many charges have been in doubt for over an
/// hour is said too, and is no reason not to be ready.
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
        } catch let error as PostgresError where error.sqlState == "42P01" {
            throw notMigrated("no migration has run")
        }
        let current = try rows.map { try $0.decode(String.self) }
        guard current == [head] else { throw notMigrated("it is at \(current.joined(separator: ", ")), not \(head)") }
        let doubts = try database.execute(
            "SELECT count(*) FROM charge_doubt WHERE since < clock_timestamp() - interval '1 hour'",
            deadline: context.deadline)[0].decode(Int.self)
        return try .json(Readiness(status: "ready", migration: head, oldDoubts: doubts))
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

    private func notMigrated(_ reason: String) -> Problem {
        Problem(
            "not-ready", status: 503, title: "Not ready",
            detail: "The database is not migrated: \(reason). “taproom doctor” names the command that migrates it."
        ).retryAfter(seconds: 5)
    }
}
