public import Migrations
import Postgres
import Runtime

extension PostgresServer {
    /// A database of its own at the head of a service's migrations: a copy of one that was migrated once.
    /// - Parameter service: a folder of `migrations/`.
    /// - Returns: its libpq URI.
    public func migratedDatabase(_ service: String) throws -> String {
        let template = "head_of_\(service)"
        try templates.withLock { made in
            guard !made.contains(service) else { return }
            let session = try connect(to: url("postgres"))
            // One that could not be migrated fails every test that wants it, with its reason.
            try session.run(script: "DROP DATABASE IF EXISTS \(template)", deadline: .never)
            try session.run(script: "CREATE DATABASE \(template)", deadline: .never)
            try migrator(service, at: url(template)).upgrade()
            made.insert(service)
        }
        return try freshDatabase(from: template)
    }

    /// What brings one of this server's databases to a revision of a service.
    /// - Parameter service: a folder of `migrations/`.
    public func migrator(_ service: String, at url: String) throws -> Migrator {
        try Migrator(connection: connect(to: url), folder: .load("\(Repository.root)/migrations/\(service)"))
    }
}
