internal import Migrations
internal import Postgres
internal import Runtime

/// The tables of every service, brought to the last of its migrations.
struct Schema {
    let project: Project
    let record: InstanceRecord

    /// Service to the last revision of its migrations.
    /// - Throws: `MigrationError` with everything that is wrong with the files.
    static func heads(_ project: Project) throws -> [String: String] {
        try project.services.reduce(into: [:]) { heads, service in
            heads[service] = try folder(project, service).head
        }
    }

    /// Upgrades the embedded databases. One in a server outside is left to its owner, and must be at head already.
    func upgrade(_ progress: Progress) throws {
        var behind: [String] = []
        for service in project.services {
            let migrator = try self.migrator(service)
            if try migrator.isAtHead() { continue }
            if record.isEmbedded(service: service) {
                try progress.step("Migrating \(service)") { try migrator.upgrade() }
            } else {
                behind.append(service)
            }
        }
        guard behind.isEmpty else {
            throw InstanceError(
                "the database of \(behind.joined(separator: " and of ")) is not at the last migration: run "
                    + "taproom migrate -x scope=\(record.scope) upgrade head, then this again")
        }
    }

    /// The revision that a service's database is at, and the one it should be at; `nil` for none.
    func revisions(of service: String) throws -> (current: String?, head: String?) {
        (try migrator(service).current(), try Self.folder(project, service).head)
    }

    private func migrator(_ service: String) throws -> Migrator {
        guard let url = record.databases[service] else {
            throw InstanceError("\(service) has no database yet: run make up")
        }
        return Migrator(
            connection: try Connection(
                url: url, application: "taproom migrate", options: ["statement_timeout": "0"],
                deadline: .after(milliseconds: 5000)),
            folder: try Self.folder(project, service))
    }

    private static func folder(_ project: Project, _ service: String) throws -> MigrationFolder {
        try MigrationFolder.load("\(project.migrations)/\(service)")
    }
}
