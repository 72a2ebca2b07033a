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

    /// Upgrades the embedded databases.
    func upgrade(_ progress: Progress) throws {
        for service in project.services where record.isEmbedded(service: service) {
            let migrator = Migrator(connection: try connect(service), folder: try Self.folder(project, service))
            if try !migrator.isAtHead() { try progress.step("Migrating \(service)") { try migrator.upgrade() } }
        }
    }

    /// A database in a server outside is left to its owner, and must have every migration already.
    func checkOutside() throws {
        var behind: [String] = []
        for service in project.services where !record.isEmbedded(service: service) {
            switch try place(of: service) {
            case .ready: continue
            case .behind: behind.append(service)
            case .ahead(let current): throw InstanceError("\(service) \(Self.ahead(current)): \(Self.wayOut)")
            }
        }
        guard behind.isEmpty else {
            throw InstanceError(
                "the database of \(behind.joined(separator: " and of ")) is not at the last migration: run "
                    + "taproom migrate -x scope=\(record.scope) upgrade head, then this again")
        }
    }

    /// Where a database is on the line of its migrations.
    enum Place: Equatable {
        /// At the head of this checkout, or past it.
        case ready
        /// At a revision of this checkout, or at none.
        case behind(String?)
        /// At a revision that this checkout does not have, and nothing records that its head was on the way there.
        case ahead(String)
    }

    func place(of service: String) throws -> Place {
        let (connection, folder) = (try connect(service), try Self.folder(project, service))
        let migrator = Migrator(connection: connection, folder: folder)
        let current = try migrator.current()
        if current == folder.head { return .ready }
        guard let current, !folder.revisions.contains(where: { $0.id == current }) else { return .behind(current) }
        do {
            let head = folder.head ?? ""
            let isApplied = try connection.execute(
                "SELECT EXISTS (SELECT FROM taproom_migration WHERE revision = \(head))",
                deadline: .after(milliseconds: 5000))[0].decode(Bool.self)
            return isApplied ? .ready : .ahead(current)
        } catch let error as PostgresError where error.sqlState == "42P01" {
            return .ahead(current)
        }
    }

    static func ahead(_ current: String) -> String { "is at \(current), ahead of the migrations of this checkout" }
    static let wayOut = "use the checkout that has this migration"

    private func connect(_ service: String) throws -> Connection {
        guard let url = record.databases[service] else {
            throw InstanceError("\(service) has no database yet: run make up")
        }
        return try Connection(
            url: url, application: "taproom migrate", options: ["statement_timeout": "0"],
            deadline: .after(milliseconds: 5000))
    }

    private static func folder(_ project: Project, _ service: String) throws -> MigrationFolder {
        try MigrationFolder.load("\(project.migrations)/\(service)")
    }
}
