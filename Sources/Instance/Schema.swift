import Migrations
import Postgres
import Runtime

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

    /// Upgrades the embedded databases; one that a newer release has taken past this checkout's head stays there.
    /// - Throws: `InstanceError` for one that is past it without a record of this head.
    func upgrade(_ progress: Progress) throws {
        for service in project.services where record.isEmbedded(service: service) {
            try upgrade(service, try connect(service), progress)
        }
        try checkTimeZone()
    }

    /// The same for those that answer already; one that does not, or not yet to this login, is left to `upgrade`.
    func upgradeEarly(_ progress: Progress) throws {
        for service in project.services where record.isEmbedded(service: service) {
            let connection: Connection
            do { connection = try connect(service) } catch PostgresError.unavailable { continue }
            try upgrade(service, connection, progress)
        }
    }

    private func upgrade(_ service: String, _ connection: Connection, _ progress: Progress) throws {
        guard try isBehind(service, connection) else { return }
        let migrator = Migrator(connection: connection, folder: try Self.folder(project, service)) {
            if case .running = $0 { return }
            progress.say("  \($0)")
        }
        try progress.step("Migrating \(service)") { try migrator.upgrade() }
    }

    /// A database in a server outside is left to its owner, and must have every migration already.
    func checkOutside() throws {
        // The embedded server, which may be down, is asked in `upgrade` at the latest.
        do { try checkTimeZone() } catch PostgresError.unavailable where record.isEmbedded(service: Self.reckoner) {}
        let behind = try project.services.filter {
            try !record.isEmbedded(service: $0) && isBehind($0, connect($0))
        }
        guard behind.isEmpty else {
            // Each by itself: an embedded one of the same scope may not be there yet.
            let commands = behind.map { "taproom migrate -x scope=\(record.scope) --service \($0) upgrade head" }
            throw InstanceError(
                "the database of \(behind.joined(separator: " and of ")) is not at the last migration: run "
                    + "\(commands.joined(separator: " && ")), then run this command again")
        }
    }

    /// - Throws: `InstanceError` for a database that this checkout cannot work with.
    private func isBehind(_ service: String, _ connection: Connection) throws -> Bool {
        switch try place(of: service, connection) {
        case .ready: return false
        case .behind: return true
        case .unfit(let encoding): throw InstanceError("\(service): \(MigrationError.encoding(encoding))")
        case .ahead(let current): throw InstanceError("\(service) \(Self.ahead(current)): \(Self.wayOut)")
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
        } catch let error as PostgresError where error.sqlState == SQLState.invalidParameterValue {
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

    func place(of service: String) throws -> Place { try place(of: service, try connect(service)) }

    private func place(of service: String, _ connection: Connection) throws -> Place {
        let folder = try Self.folder(project, service)
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
        } catch let error as PostgresError where error.sqlState == SQLState.undefinedTable {
            return .ahead(current)
        }
    }

    static func ahead(_ current: String) -> String { "is at \(current), ahead of the migrations of this checkout" }
    static let wayOutOfEncoding = "move it into a database in UTF8"
    static let wayOut = "start the newer release that took it there, or downgrade with that one first"

    /// In what a database at the head differs from the files here; one past it has applied others too.
    func findings(of service: String) throws -> [String] {
        let migrator = Migrator(connection: try connect(service), folder: try Self.folder(project, service))
        return try migrator.isAtHead() ? migrator.check().map(\.description) : []
    }

    private func connect(_ service: String) throws -> Connection {
        guard let url = record.databases[service] else {
            throw InstanceError("\(service) has no database yet: run \(record.upCommand)")
        }
        return try Connection(url: url, command: "migrate")
    }

    private static func folder(_ project: Project, _ service: String) throws -> MigrationFolder {
        try MigrationFolder.load("\(project.migrations)/\(service)")
    }
}
