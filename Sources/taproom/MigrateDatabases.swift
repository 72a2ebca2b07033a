import ArgumentParser
import Foundation
import Migrations
import Postgres
import Runtime

/// Knows where the database of a service is.
protocol DatabaseLocator {
    /// - Returns: a libpq connection URI.
    /// - Throws: an error that names the key and the fix.
    func url(service: String) throws -> String
}

/// Reads `databases.<service>` of a configuration file; TAPROOM_DATABASES_<SERVICE> goes before it.
struct ConfiguredDatabases: DatabaseLocator {
    let file: String

    private struct Configuration: Decodable {
        let databases: [String: String?]?
    }

    func url(service: String) throws -> String {
        let variable = "TAPROOM_DATABASES_" + service.uppercased().replacing("-", with: "_")
        if let url = ProcessInfo.processInfo.environment[variable], !url.isEmpty { return url }
        guard let data = FileManager.default.contents(atPath: file) else {
            throw MigrateFailure(
                "\(file): cannot be read; copy model_config.json to it or run `make up`, or set \(variable)")
        }
        let configuration: Configuration
        do {
            configuration = try JSONDecoder().decode(Configuration.self, from: data)
        } catch {
            throw MigrateFailure("\(file): is not a JSON object with databases as {\"service\": \"URL\"}: \(error)")
        }
        guard let url = configuration.databases?[service] ?? nil, !url.isEmpty else {
            throw MigrateFailure(
                "databases.\(service) is empty in \(file), which means the embedded PostgreSQL, and that one is not "
                    + "running: run `make up`, or write a libpq URI there or in \(variable)")
        }
        return url
    }
}

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
            FileHandle.standardError.write(Data("FAILED: \(error)\n".utf8))
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
                problems.append("\(error)")
                return ""
            }
        }
        guard problems.isEmpty else { throw MigrateFailure(problems.joined(separator: "\n")) }
        for (folder, url) in zip(folders, urls) {
            do {
                let connection = try Connection(
                    url: url, application: "taproom migrate", options: ["statement_timeout": "0"],
                    deadline: .after(milliseconds: 5000))
                let migrator = Migrator(connection: connection, folder: folder.migrations) { progress in
                    FileHandle.standardError.write(Data("INFO  [\(folder.name)] \(progress)\n".utf8))
                }
                try body(folder, migrator)
            } catch let error as PostgresError {
                throw MigrateFailure("\(folder.name): \(error)")
            }
        }
    }

    /// Prints one service's answer, under its name when there are several.
    func heading(_ folder: ServiceFolder, of folders: [ServiceFolder]) {
        if folders.count > 1 { print("\(folder.name):") }
    }
}
