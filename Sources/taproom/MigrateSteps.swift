import ArgumentParser
import Instance
import Migrations

/// A target on the command line. It may begin with a minus sign, which the parser would take for an option.
struct TargetArgument: ParsableArguments {
    @Argument(
        parsing: .allUnrecognized,
        help: ArgumentHelp("Revision, unique prefix, head, base, current, +n or -n.", valueName: "revision"))
    var words: [String]

    var target: String { words[0] }

    func validate() throws {
        for word in words where word.hasPrefix("-") && Int(word) == nil {
            throw ValidationError("Unknown option '\(word)'")
        }
        guard words.count == 1 else {
            throw ValidationError("one revision is expected, not \(words.joined(separator: " "))")
        }
    }
}

extension Migrate {
    struct Upgrade: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Upgrade to a later version.")

        @ParentCommand var migrate: Migrate
        @Flag(help: "Print the SQL instead of running it, of a range a:b too; asks no database.") var sql = false
        @OptionGroup var revision: TargetArgument

        func run() throws {
            try migrate.step(to: revision.target, printing: sql ? { try $0.upgradeScript(revision.target) } : nil) {
                try $0.upgrade(to: revision.target)
            }
        }
    }

    struct Downgrade: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Revert to a previous version.")

        @ParentCommand var migrate: Migrate
        @Flag(help: "Print the SQL instead of running it, of a range a:b too; asks no database.") var sql = false
        @OptionGroup var revision: TargetArgument

        func run() throws {
            try migrate.step(to: revision.target, printing: sql ? { try $0.downgradeScript(revision.target) } : nil) {
                try $0.downgrade(to: revision.target)
            }
        }
    }

    struct Stamp: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "'stamp' the revision table with the given revision; don't run any migrations.")

        @ParentCommand var migrate: Migrate
        @Flag(help: "Print the SQL instead of running it, of a range a:b too; asks no database.") var sql = false
        @Flag(help: "Unconditionally erase the version table before stamping.") var purge = false
        @OptionGroup var revision: TargetArgument

        func validate() throws {
            guard !(sql && purge) else { throw ValidationError("Can't use --purge with --sql mode") }
        }

        func run() throws {
            try migrate.step(to: revision.target, printing: sql ? { try $0.stampScript(revision.target) } : nil) {
                try $0.stamp(revision.target, purge: purge)
            }
        }
    }
}

extension Migrate {
    /// Takes a step in the database of each service that knows the target, or prints its SQL, which asks no database.
    fileprivate func step(
        to target: String, printing script: ((MigrationFolder) throws -> String)?, _ take: (Migrator) throws -> Void
    ) throws {
        try reporting {
            let folders = try folders(knowing: target)
            if let script {
                return print(try script(onlyFolder(of: folders, for: "--sql").migrations), terminator: "")
            }
            if target.contains(":") { throw InstanceError("Range revision not allowed: \(target) needs --sql") }
            try withDatabases(of: folders) { try take($1) }
        }
    }
}
