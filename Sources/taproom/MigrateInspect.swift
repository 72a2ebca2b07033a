import ArgumentParser
import Instance
import Migrations

extension Migrate {
    struct Current: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Display the current revision for a database.")

        @ParentCommand var migrate: Migrate
        @Flag(name: .shortAndLong, help: "Use more verbose output.") var verbose = false
        @Flag(help: "Exit with an error unless the database is at head.") var checkHeads = false

        func run() throws {
            try migrate.reporting {
                let folders = try migrate.folders()
                var behind: [String] = []
                try migrate.withDatabases(of: folders) { folder, migrator in
                    migrate.heading(folder, of: folders)
                    if verbose { print("Current revision(s) for \(folder.name):") }
                    let current = try migrator.current()
                    if current != folder.migrations.head { behind.append(folder.name) }
                    guard let current else { return }
                    guard let revision = folder.migrations.revisions.first(where: { $0.id == current }) else {
                        throw InstanceError("\(folder.name): Can't locate revision identified by '\(current)'")
                    }
                    print(verbose ? folder.migrations.logEntry(revision) : folder.migrations.label(current))
                }
                if checkHeads, !behind.isEmpty {
                    throw InstanceError(
                        "Database is not on all head revisions: \(behind.joined(separator: ", "))")
                }
            }
        }
    }

    struct History: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List changeset scripts in chronological order, the newest first.")

        @ParentCommand var migrate: Migrate
        @Option(
            name: [.customShort("r", allowingJoined: true), .long], parsing: .unconditional,
            help:
                "Specify a revision range; format is [start]:[end]. With a leading minus write --rev-range=-3:current.")
        var revRange: String?
        @Flag(name: .shortAndLong, help: "Use more verbose output.") var verbose = false
        @Flag(name: .shortAndLong, help: "Indicate the current revision.") var indicateCurrent = false

        func run() throws {
            try migrate.reporting {
                let folders = try migrate.folders()
                guard indicateCurrent || needsDatabase else {
                    return try folders.forEach { try show($0, of: folders, current: nil) }
                }
                try migrate.withDatabases(of: folders) { folder, migrator in
                    try show(folder, of: folders, current: try migrator.current() ?? "base")
                }
            }
        }

        private var needsDatabase: Bool {
            revRange.map { $0.contains("current") || $0.hasPrefix("+") } ?? false
        }

        private func show(_ folder: ServiceFolder, of folders: [ServiceFolder], current: String?) throws {
            migrate.heading(folder, of: folders)
            let migrations = folder.migrations
            let mark = indicateCurrent ? current : nil
            for revision in try migrations.revisions(in: revRange ?? ":", current: current).reversed() {
                print(
                    verbose
                        ? migrations.logEntry(revision, current: mark)
                        : migrations.historyLine(revision, current: mark))
            }
        }
    }

    struct Heads: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show current available heads.")

        @ParentCommand var migrate: Migrate
        @Flag(name: .shortAndLong, help: "Use more verbose output.") var verbose = false

        func run() throws {
            try migrate.reporting {
                let folders = try migrate.folders()
                for folder in folders {
                    migrate.heading(folder, of: folders)
                    guard let head = folder.migrations.revisions.last else { continue }
                    print(verbose ? folder.migrations.logEntry(head) : folder.migrations.label(head.id))
                }
            }
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show the revision denoted by the given symbol.")

        @ParentCommand var migrate: Migrate
        @OptionGroup var revision: TargetArgument

        func run() throws {
            try migrate.reporting {
                let target = revision.target
                let folder = try migrate.onlyFolder(of: try migrate.folders(knowing: target), for: "show")
                // What counts from the database's place needs the database.
                guard target.hasPrefix("current") || target.hasPrefix("+") || target.hasPrefix("-") else {
                    return try show(target, from: nil, in: folder)
                }
                try migrate.withDatabases(of: [folder]) { folder, migrator in
                    try show(target, from: try migrator.current() ?? "base", in: folder)
                }
            }
        }

        private func show(_ target: String, from current: String?, in folder: ServiceFolder) throws {
            guard let revision = try folder.migrations.revision(target, from: current) else { return }
            print(folder.migrations.logEntry(revision))
        }
    }

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check that the database is at head and that no applied file was edited.")

        @ParentCommand var migrate: Migrate

        func run() throws {
            try migrate.reporting {
                let folders = try migrate.folders()
                var findings: [String] = []
                try migrate.withDatabases(of: folders) { folder, migrator in
                    findings += try migrator.check().map { "\(folder.name): \($0)" }
                }
                guard findings.isEmpty else { throw InstanceError(findings.joined(separator: "\n")) }
                print("No new upgrade operations detected.")
            }
        }
    }
}
