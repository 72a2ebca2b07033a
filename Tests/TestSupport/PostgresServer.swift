import Foundation
public import Postgres
import Runtime

/// A PostgreSQL server for tests: one per test process, started on first use, gone with the process however it ends.
///
/// It listens on a free loopback port and on a Unix socket in `folder`, lets everybody in as superuser `postgres`, and
/// does without fsync. A test takes a database of its own:
///
/// ```swift
/// let connection = try PostgresServer.shared.connect(to: PostgresServer.shared.freshDatabase())
/// ```
public final class PostgresServer: Sendable {
    /// Started when first asked for; a test process without PostgreSQL ends with a message.
    public static let shared: PostgresServer = {
        do {
            let server = try PostgresServer()
            atexit { PostgresServer.shared.stop() }
            return server
        } catch {
            fatalError("no PostgreSQL for the tests: \(error)")
        }
    }()

    /// Holds `data`, `log` and the socket.
    public let folder: String
    public let port: Int
    private let tools: PostgresTools
    private let watchdog: Watchdog
    private let databases = Lock(0)
    /// The services whose migrated database stands ready to be copied.
    let templates = Lock<Set<String>>([])

    /// A server of its own, for a suite that restarts or breaks it; gone with this value.
    public init() throws {
        let tools = try PostgresTools()
        let folder = "/tmp/taproom-postgres-\(getpid())-\(UInt32.random(in: 0...(.max)))"
        let port = try Loopback.freePort()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        // From here on the folder and the server in it go when this process does.
        let watchdog = try Watchdog(folder: folder, stop: tools.stopCommand(data: "\(folder)/data"))
        try tools.takeOver(folder)
        try tools.run(
            "initdb", "--pgdata=\(folder)/data", "--username=postgres", "--auth=trust", "--encoding=UTF8",
            "--locale=C.UTF-8", "--no-sync", "--no-instructions")
        let settings = """
            listen_addresses = '127.0.0.1'
            port = \(port)
            unix_socket_directories = '\(folder)'
            max_connections = 300
            fsync = off
            synchronous_commit = off
            full_page_writes = off
            jit = off
            timezone = 'UTC'
            """
        try tools.append(settings, to: "\(folder)/data/postgresql.conf")
        try tools.run("pg_ctl", "start", "--wait", "--pgdata=\(folder)/data", "--log=\(folder)/log")
        (self.tools, self.folder, self.port, self.watchdog) = (tools, folder, port, watchdog)
    }

    /// Creates an empty database.
    /// - Returns: its libpq URI.
    public func freshDatabase() throws -> String { try freshDatabase(from: "template1") }

    func freshDatabase(from template: String) throws -> String {
        let number = databases.withLock { count in
            count += 1
            return count
        }
        try connect(to: url("postgres")).run(
            script: "CREATE DATABASE test_\(number) TEMPLATE \(template)", deadline: .never)
        return url("test_\(number)")
    }

    /// A copy of a database, from a backup that is made and restored as docs/reliability.md says.
    /// - Returns: its libpq URI.
    public func restored(_ url: String) throws -> String {
        let copy = try freshDatabase()
        let file = "\(folder)/\(copy.split(separator: "/").last ?? "").dump"
        try tools.run("pg_dump", "-Fc", "--file=\(file)", "--dbname=\(url)")
        try tools.run("pg_restore", "-1", "--dbname=\(copy)", file)
        return copy
    }

    /// The tables, functions and triggers of a database as SQL, without what differs from server to server.
    public func schema(_ url: String) throws -> String {
        let file = "\(folder)/\(url.split(separator: "/").last ?? "").sql"
        try tools.run("pg_dump", "--schema-only", "--no-owner", "--no-privileges", "--file=\(file)", "--dbname=\(url)")
        let text = try String(contentsOfFile: file, encoding: .utf8)
        return text.split(separator: "\n", omittingEmptySubsequences: false)
            .filter { line in !["--", "SET ", "SELECT pg_catalog.", "\\"].contains(where: line.hasPrefix) }
            .joined(separator: "\n").replacing(/\n{3,}/, with: "\n\n").trimmingCharacters(in: .newlines)
    }

    /// Creates an empty database of a role of its own, as each service has in the embedded PostgreSQL.
    /// - Returns: its libpq URI.
    public func ownedDatabase() throws -> String {
        let url = try freshDatabase()
        let name = url.split(separator: "/").last.map(String.init) ?? ""
        try connect(to: self.url("postgres")).run(
            script: "CREATE ROLE \(name) LOGIN; ALTER DATABASE \(name) OWNER TO \(name)", deadline: .never)
        return url.replacing("//postgres@", with: "//\(name)@")
    }

    /// Lets a backup take the place of all that its database holds once `body` has run, as docs/reliability.md says of an
    /// embedded one.
    /// - Parameter ending: a last statement, such as one that fails.
    public func restoring(_ url: String, ending: String = "", after body: () throws -> Void) throws {
        let file = "\(folder)/\(url.split(separator: "/").last ?? "").backup"
        try tools.run("pg_dump", "-Fc", "--file=\(file)", "--dbname=\(url)")
        try body()
        try tools.run("pg_restore", "-f", file + ".sql", file)
        try tools.append(ending, to: file + ".sql")
        try tools.run(
            "psql", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-c", "DROP SCHEMA public CASCADE",
            "-c", "CREATE SCHEMA public AUTHORIZATION pg_database_owner", "-f", file + ".sql", url)
    }

    /// All rows of all tables and the state of all sequences, as text.
    public func contents(of url: String) throws -> [String] {
        let session = try connect(to: url)
        func texts(_ sql: SQL) throws -> [String] {
            try session.execute(sql, deadline: .never).map { try $0.decode(String.self) }
        }
        return try texts(
            """
            SELECT format('SELECT concat(%1$L, '' '', %2$s) FROM %1$I t ORDER BY 1',
                          relname, CASE relkind WHEN 'S' THEN 'last_value, is_called' ELSE 't' END)
            FROM pg_class WHERE relkind IN ('r', 'S') AND relnamespace = 'public'::regnamespace ORDER BY relname
            """
        ).flatMap { query in
            try session.run(script: query, deadline: .never).map { try $0.decode(String.self) }
        }
    }

    /// A session; it closes when it goes.
    public func connect(to url: String) throws -> Connection {
        try Connection(url: url, application: "test", deadline: .soon)
    }

    /// The libpq URI of a database of this server.
    public func url(_ database: String) -> String { "postgresql://postgres@127.0.0.1:\(port)/\(database)" }

    /// How `pg_ctl restart` ends the running server.
    public enum ShutdownMode: String, Sendable { case fast, immediate }

    /// Restarts the server on the same port; returns when it takes connections. All sessions break, so a suite that does
    /// this starts a server of its own.
    public func restart(mode: ShutdownMode) throws {
        try tools.run(
            "pg_ctl", "restart", "--wait", "--mode=\(mode.rawValue)", "--pgdata=\(folder)/data", "--log=\(folder)/log")
    }

    /// The postmaster, which changes with every restart.
    public func processID() throws -> Int32 {
        let file = try String(contentsOfFile: "\(folder)/data/postmaster.pid", encoding: .utf8)
        return file.split(separator: "\n").first.flatMap { Int32($0) } ?? 0
    }

    deinit { stop() }

    private func stop() { watchdog.release() }
}
