import Foundation
import Glibc
import Manifest
import Runtime

/// The embedded PostgreSQL: one cluster in the instance's folders, on a Unix socket for functions and on 127.0.0.1 for
/// people and outside suites; one role and one database per service.
struct Cluster {
    let placement: Placement
    let accounts: Accounts
    let port: Int

    private static let oldestVersion = 15

    /// The longest that its last checkpoint may take, which writes what has changed of the buffers. Killed before its end,
    /// it would recover at the next start.
    static let secondsToStop = 300

    private var folder: String { placement.cluster }
    var locks: ClusterLocks { ClusterLocks(cluster: folder, socketFolder: placement.databaseSocket) }
    private var passwordFile: String { placement.data + "/postgres.password" }

    /// The superuser's password, known only to this machine's owner.
    func superuserURL() throws -> String {
        guard let data = FileManager.default.contents(atPath: passwordFile) else {
            throw InstanceError("\(passwordFile) is missing: the cluster beside it cannot be administered without it")
        }
        return Self.url(
            user: "postgres", password: String(decoding: data, as: UTF8.self), host: placement.databaseSocket,
            port: port, database: "postgres")
    }

    /// The URI for functions: the Unix socket saves a third of a round trip.
    static func socketURL(service: String, password: String, folder: String, port: Int) -> String {
        url(user: service, password: password, host: folder, port: port, database: service)
    }

    /// The URI for people and outside suites.
    static func tcpURL(service: String, password: String, port: Int) -> String {
        url(user: service, password: password, host: "127.0.0.1", port: port, database: service)
    }

    private static func url(user: String, password: String, host: String, port: Int, database: String) -> String {
        func escape(_ text: String) -> String { PercentEncoding.encode(text) }
        return "postgresql://\(escape(user)):\(escape(password))@\(escape(host)):\(port)/\(escape(database))"
    }

    /// Makes the cluster unless it is there. An interrupted attempt leaves nothing that counts as one, and an initdb of it
    /// that still runs works in a folder of its own.
    func initialise() throws {
        removeLeftovers()
        guard !FileManager.default.fileExists(atPath: folder + "/PG_VERSION") else { return }
        let new = "\(folder).new.\(getpid())"
        try ensureFolder(new, mode: 0o700, owner: accounts.database)
        try writeFile(passwordFile, Data(randomSecret().utf8), mode: 0o600)
        if let owner = accounts.database { chown(passwordFile, owner.uid, owner.gid) }
        try Subprocess.check(
            [
                "\(try programs())/initdb", "--pgdata=\(new)", "--username=postgres", "--auth-host=scram-sha-256",
                // The socket's folder is the server's own, so its peer is not a stranger; proving to each other what both
                // know would cost every function OpenSSL's start, 0.3 MB and some milliseconds.
                "--auth-local=password", "--pwfile=\(passwordFile)", "--encoding=UTF8", "--locale=C.UTF-8",
                "--no-instructions",
            ], as: accounts.database)
        guard rename(new, folder) == 0 else { throw SystemError("cannot make \(folder)") }
        synchronizeFolder(of: folder)
    }

    /// Of attempts that were cut short. What an initdb keeps from being removed goes with the next start.
    private func removeLeftovers() {
        let parent = (folder as NSString).deletingLastPathComponent
        let prefix = (folder as NSString).lastPathComponent + ".new"
        for name in (try? FileManager.default.contentsOfDirectory(atPath: parent)) ?? [] where name.hasPrefix(prefix) {
            try? FileManager.default.removeItem(atPath: "\(parent)/\(name)")
        }
    }

    /// How supervisord runs it. The settings are arguments, so that a change of one restarts it.
    func program() throws -> Program {
        let settings = [
            "listen_addresses=127.0.0.1", "port=\(port)", "unix_socket_directories=\(placement.databaseSocket)",
            // The folder keeps strangers out; inside it, the functions' user is not in PostgreSQL's group.
            "unix_socket_permissions=0777",
            "max_connections=300", "shared_buffers=\(Memory.sharedBuffers(of: Memory.available()))MB",
            "max_wal_size=2GB",
            "jit=off", "timezone=UTC", "log_timezone=UTC",
            // The default and the application, which is the function's name: its log is the only word on who was refused.
            "log_line_prefix=%m [%p] %a ",
            // Our rules are PL/pgSQL: a session inherits it from the server in place of loading it, 1 ms.
            "shared_preload_libraries=plpgsql",
            // Among many subscriptions most changes touch pages that the log has not had whole since the last
            // checkpoint: with ten million a change of status writes 7 kB to the log in place of 19.
            "wal_compression=lz4",
            // Statements are planned once for each session. Until autovacuum has looked after a load, those that were
            // planned while the tables were nearly empty read all of them: a `subscribe` among 200,000 took 42 ms, not 3.
            "autovacuum_naptime=15s",
        ]
        return Program(
            name: "postgres",
            command: ["\(try programs())/postgres", "-D", folder] + settings.flatMap { ["-c", $0] },
            // INT is PostgreSQL's fast shutdown; TERM would wait for every client to leave by itself.
            stopSignal: "INT", stopTimeout: Self.secondsToStop, user: accounts.database?.name, priority: 10)
    }

    /// The folder of PostgreSQL's programs: of the version that made the cluster, else the newest.
    private func programs() throws -> String {
        let made = FileManager.default.contents(atPath: folder + "/PG_VERSION")
            .map { String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines) }
        let root = "/usr/lib/postgresql"
        let installed = ((try? FileManager.default.contentsOfDirectory(atPath: root)) ?? [])
            .compactMap { Int($0) }
            .filter { FileManager.default.isExecutableFile(atPath: "\(root)/\($0)/bin/initdb") }
        if let made {
            guard installed.contains(where: { "\($0)" == made }) else {
                throw InstanceError(
                    "\(folder) was made by PostgreSQL \(made), which is not installed: apt-get install postgresql-\(made)"
                )
            }
            return "\(root)/\(made)/bin"
        }
        guard let newest = installed.max(), newest >= Self.oldestVersion else {
            throw InstanceError("PostgreSQL \(Self.oldestVersion) is not installed: run scripts/install-packages")
        }
        return "\(root)/\(newest)/bin"
    }
}
