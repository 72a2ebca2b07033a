import ArgumentParser
import Foundation
import Instance
import Migrations

/// Alembic's verbs for the databases of the services.
struct Migrate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs the databases' migrations, with Alembic's commands.",
        discussion: """
            The files are migrations/<service>/<revision>_<slug>.sql in the current folder. A revision is named by a \
            unique prefix, head, base, or relative: +1 and -1 count from where the database is, head-1 from head.
            """,
        subcommands: [
            Upgrade.self, Downgrade.self, Current.self, History.self, Heads.self, Show.self, Stamp.self, Check.self,
            NewRevision.self,
        ])

    @Option(
        name: [.customShort("c"), .long],
        help: "Configuration file; TAPROOM_CONFIG for any scope, else <scope>_config.json, when absent.")
    var config: String?

    @Option(
        name: .customShort("x"),
        help: ArgumentHelp(
            "scope=<scope> chooses <scope>_config.json; TAPROOM_SCOPE, else local, when absent.",
            valueName: "key=value"))
    var settings: [String] = []

    @Option(help: "One service, a folder under migrations; all of them, by name, when absent.")
    var service: String?

    var scope: String? { settings.last.map { String($0.dropFirst("scope=".count)) } }

    func validate() throws {
        for setting in settings where !setting.hasPrefix("scope=") {
            throw ValidationError("-x \(setting): the only key is scope, as in -x scope=local")
        }
    }

    /// Where the databases are; the configuration is read when the first URL is asked for.
    var databases: ScopeDatabases { ScopeDatabases(scope: scope, file: config) }

    /// The folders of the services that are meant.
    func folders() throws -> [ServiceFolder] {
        let all = try MigrationFolder.services(in: "migrations")
        if let service, !all.contains(service) {
            throw InstanceError(
                "migrations/\(service): no such folder; there are \(all.joined(separator: ", ")), and a new service "
                    + "begins with a folder of its name: mkdir migrations/\(service)")
        }
        var problems: [String] = []
        let folders = (service.map { [$0] } ?? all).compactMap { name in
            do throws(MigrationError) {
                return ServiceFolder(name: name, migrations: try .load("migrations/\(name)"))
            } catch {
                problems.append(error.description)
                return nil
            }
        }
        guard problems.isEmpty else { throw InstanceError(problems.joined(separator: "\n")) }
        guard !folders.isEmpty else {
            throw InstanceError("migrations: holds no folder of a service; mkdir migrations/<service>")
        }
        return folders
    }

    /// Those of the services that know a target: a revision belongs to one service, `head` or `-1` to all.
    func folders(knowing target: String) throws -> [ServiceFolder] {
        let folders = try folders()
        let name = target.prefix { !"+-:".contains($0) }
        guard folders.count > 1, !name.isEmpty, !["head", "heads", "base", "current"].contains(name) else {
            return folders
        }
        let knowing = folders.filter { $0.migrations.revisions.contains { $0.id.hasPrefix(name) } }
        guard knowing.count == 1 else {
            throw InstanceError(
                knowing.isEmpty
                    ? "Can't locate revision identified by '\(name)'"
                    : "Revision '\(name)' is in \(names(knowing)): choose one with --service")
        }
        return knowing
    }

    /// The one folder that a verb can work on.
    func onlyFolder(of folders: [ServiceFolder], for purpose: String) throws -> ServiceFolder {
        guard folders.count == 1 else {
            throw InstanceError("\(purpose) is for one service: choose one of \(names(folders)) with --service")
        }
        return folders[0]
    }

    private func names(_ folders: [ServiceFolder]) -> String { folders.map(\.name).joined(separator: ", ") }
}

/// The migrations of one service.
struct ServiceFolder {
    let name: String
    let migrations: MigrationFolder
}
