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
        try checkTimeZone()
    }

    /// A database in a server outside is left to its owner, and must have every migration already.
    func checkOutside() throws {
        // The embedded server, which may be down, is asked in `upgrade` at the latest.
        do { try checkTimeZone() } catch PostgresError.unavailable where record.isEmbedded(service: Self.reckoner) {}
        var behind: [String] = []
        for service in project.services where !record.isEmbedded(service: service) {
            switch try place(of: service) {
            case .ready: continue
            case .behind: behind.append(service)
            case .unfit(let encoding): throw InstanceError("\(service): \(MigrationError.encoding(encoding))")
            case .ahead(let current): throw InstanceError("\(service) \(Self.ahead(current)): \(Self.wayOut)")
            }
        }
        guard behind.isEmpty else {
            throw InstanceError(
                "the database of \(behind.joined(separator: " and of ")) is not at the last migration: run "
                    + "taproom migrate -x scope=\(record.scope) upgrade head, then this again")
        }
    }

    /// The service whose database reckons the billing periods.
    static let reckoner = "subscriptions"

    /// PostgreSQL has a time zone database of its own, which need not know every name that this machine's does.
    /// - Throws: `InstanceError` when it does not know the billing time zone.
    func checkTimeZone() throws {
        guard project.services.contains(Self.reckoner), let zone = record.parameters["billing.time_zone"] else {
            return
        }
        do {
            try connect(Self.reckoner).execute(
                "SELECT now() AT TIME ZONE \(zone)", deadline: .after(milliseconds: 5000))
        } catch let error as PostgresError where error.sqlState == "22023" {
            throw InstanceError(
                "billing.time_zone has no usable value: PostgreSQL does not know \(zone); give a name that it has in "
                    + "pg_timezone_names (or set TAPROOM_BILLING_TIME_ZONE)")
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
        /// In an encoding that does not hold every text, this one.
        case unfit(String)
    }

    func place(of service: String) throws -> Place {
        let (connection, folder) = (try connect(service), try Self.folder(project, service))
        let migrator = Migrator(connection: connection, folder: folder)
        let encoding = try migrator.encoding()
        guard encoding == "UTF8" else { return .unfit(encoding) }
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
    static let wayOutOfEncoding = "move it into a database in UTF8"
    static let wayOut = "use the checkout that has this migration"

    private func connect(_ service: String) throws -> Connection {
        guard let url = record.databases[service] else {
            throw InstanceError("\(service) has no database yet: run \(record.upCommand)")
        }
        return try Connection(
            url: url, application: "taproom migrate", options: ["statement_timeout": "0"],
            deadline: .after(milliseconds: 5000))
    }

    private static func folder(_ project: Project, _ service: String) throws -> MigrationFolder {
        try MigrationFolder.load("\(project.migrations)/\(service)")
    }
}
