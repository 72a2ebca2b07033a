import Postgres
import Runtime

/// Gives each service its own role and database in the embedded cluster.
struct ServiceDatabases {
    let cluster: Cluster
    /// Service to the password of its role.
    let passwords: [String: String]

    private static var limit: Deadline { .after(milliseconds: 30_000) }

    /// Why the server takes no connections; `nil` when it takes them.
    func obstacle() throws -> String? {
        do {
            _ = try Connection(url: try cluster.superuserURL(), command: "up")
            return nil
        } catch PostgresError.unavailable(let reason) {
            return reason
        }
    }

    /// Makes what is missing and sets a password that differs from the configured one. What is there stays.
    func create() throws {
        let session = try Connection(url: try cluster.superuserURL(), command: "up")
        // Everybody may connect to every database by default; a service must not read another's tables.
        for database in ["postgres", "template1"] {
            try run(session, "SELECT format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', \(database)::text)")
        }
        for (service, password) in passwords.sorted(by: { $0.key < $1.key }) {
            try create(session, service: service, password: password)
        }
    }

    private func create(_ session: Connection, service: String, password: String) throws {
        let role: SQL = "SELECT 1 FROM pg_roles WHERE rolname = \(service)"
        if try session.execute(role, deadline: Self.limit).isEmpty {
            try run(session, "SELECT format('CREATE ROLE %I LOGIN', \(service)::text)")
        }
        let database: SQL = "SELECT 1 FROM pg_database WHERE datname = \(service)"
        if try session.execute(database, deadline: Self.limit).isEmpty {
            try run(
                session,
                "SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0 ENCODING ''UTF8''', \(service)::text, \(service)::text)"
            )
        }
        try run(session, "SELECT format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', \(service)::text)")
        try setPassword(session, service: service, password: password)
    }

    private func setPassword(_ session: Connection, service: String, password: String) throws {
        let wanted = RolePassword(password: password)
        let kept: SQL = """
            SELECT 1 FROM pg_authid WHERE rolname = \(service) AND starts_with(rolpassword, \(wanted.verifierPrefix))
            """
        let url = Cluster.tcpURL(service: service, password: password, port: cluster.port)
        if try !session.execute(kept, deadline: Self.limit).isEmpty, (try? Connection(url: url, command: "up")) != nil {
            return
        }
        try run(
            session,
            "SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', \(service)::text, \(wanted.verifier())::text)")
    }

    /// Runs the statement that the server itself built, with names and texts quoted by its own rules.
    private func run(_ session: Connection, _ build: SQL) throws {
        guard let row = try session.execute(build, deadline: Self.limit).first else { return }
        let statement = try row.decode(String.self)
        try session.run(script: statement, deadline: Self.limit)
    }
}
