import ArgumentParser
import Foundation
import Instance
import Migrations
import Postgres
import Runtime

extension Migrate {
    /// Runs `body` and turns what it throws into a line on stderr and exit status 1.
    func reporting(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch let error as ExitCode {
            throw error
        } catch {
            // What was printed before the failure comes first also where both streams end in one file.
            fflush(nil)
            FileHandle.standardError.tell("FAILED: \(error)\n")
            throw ExitCode(1)
        }
    }

    /// Runs `body` for each service in turn, with a session on its database. No session is opened before all
    /// databases are located.
    func withDatabases(
        of folders: [ServiceFolder], _ body: (ServiceFolder, Migrator) throws -> Void
    ) throws {
        var problems: [String] = []
        let urls = folders.map { folder in
            do {
                return try databases.url(service: folder.name)
            } catch {
                // What is wrong with the configuration as a whole is wrong for each service.
                if !problems.contains("\(error)") { problems.append("\(error)") }
                return ""
            }
        }
        guard problems.isEmpty else { throw InstanceError(problems.joined(separator: "\n")) }
        for (folder, url) in zip(folders, urls) {
            do {
                let connection = try Connection(url: url, command: "migrate")
                let migrator = Migrator(connection: connection, folder: folder.migrations) { progress in
                    FileHandle.standardError.tell("INFO  [\(folder.name)] \(progress)\n")
                }
                try body(folder, migrator)
            } catch let error as PostgresError {
                throw InstanceError("\(folder.name): \(error)")
            } catch let error as MigrationError where !error.namesFile {
                throw InstanceError("\(folder.name): \(error)")
            }
        }
    }

    /// Prints one service's answer, under its name when there are several.
    func heading(_ folder: ServiceFolder, of folders: [ServiceFolder]) {
        if folders.count > 1 { print("\(folder.name):") }
    }
}
