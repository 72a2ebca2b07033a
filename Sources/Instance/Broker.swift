import Foundation
import Glibc
import Manifest
import Runtime

/// The embedded RabbitMQ: one node in the instance's folders, which takes AMQP on 127.0.0.1 and nothing else.
///
/// It has no port mapper and listens to no other Erlang node, so nobody reaches it but through AMQP with its password;
/// `rabbitmqctl` cannot. Its plugins are off, and there is no user `guest`.
struct Broker {
    let placement: Placement
    /// Whom it runs as; `nil` = the user who runs this.
    let account: Account?
    let port: Int
    /// Of its only user.
    let password: String

    static let program = "rabbitmq"
    private static let user = "taproom"
    private static let node = "taproom@localhost"
    /// Where nobody listens: RabbitMQ looks for a port mapper every minute, and starts one at the usual port.
    private static let nowhere = "1"

    private var folder: String { placement.broker }
    private var home: String { placement.brokerHome }
    private var configurationFile: String { folder + "/rabbitmq.conf" }
    private var definitionsFile: String { folder + "/definitions.json" }
    private var pluginsFile: String { folder + "/enabled_plugins" }

    /// The AMQP URI of the node's only virtual host.
    static func url(password: String, port: Int) -> String {
        "amqp://\(user):\(PercentEncoding.encode(password))@127.0.0.1:\(port)/%2F"
    }

    /// Writes what the node reads at its start, and gives it a home with a cookie of its own unless it has one.
    /// - Throws: `InstanceError` for a path that its start script cannot pass on; `SystemError`.
    func prepare() throws {
        guard !folder.contains(where: { "'\"".contains($0) }) else {
            throw InstanceError(
                "RabbitMQ does not start in \(folder), for the quote in the path: set TAPROOM_STATE to a folder without "
                    + "' and \" in its path, or rabbitmq.url to a broker of your own")
        }
        try ensureFolder(folder, mode: 0o750, owner: nil)
        try give(folder, owner: geteuid())
        if !FileManager.default.fileExists(atPath: home) { try makeHome() }
        for (path, text) in [
            (configurationFile, configuration), (definitionsFile, try definitions()), (pluginsFile, "[].\n"),
        ] {
            try writeFile(path, Data(text.utf8), mode: 0o640)
            try give(path, owner: geteuid())
        }
    }

    /// How supervisord runs it. A changed setting or password restarts it.
    func program() throws -> Program {
        let server = "/usr/lib/rabbitmq/bin/rabbitmq-server"
        guard FileManager.default.isExecutableFile(atPath: server) else {
            throw InstanceError("RabbitMQ is not installed: run scripts/install-packages")
        }
        let settings = Placement.digest(configuration + (try definitions()))
        return Program(
            name: Self.program,
            // For the relative path in its configuration.
            command: ["/usr/bin/env", "--chdir=\(folder)", server], user: account?.name, priority: 10,
            environment: [
                ("HOME", home), ("TAPROOM_BROKER_SETTINGS", settings),
                // Told so, its script becomes the node instead of watching over it as a parent.
                ("RUNNING_UNDER_SYSTEMD", "true"),
                ("ERL_FLAGS", "-start_epmd false -dist_listen false -erl_epmd_port \(Self.nowhere)"),
                ("ERL_EPMD_PORT", Self.nowhere), ("ERL_EPMD_ADDRESS", "127.0.0.1"),
                ("ERL_CRASH_DUMP", home + "/erl_crash.dump"), ("RABBITMQ_NODENAME", Self.node),
                // As many schedulers as serve a small shop, and tables of a tenth of the usual size. (A scheduler that
                // spins while it waits is off by default.)
                ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-sname \(Self.node) +S 2:2 +SDcpu 1:1"),
                ("RABBITMQ_MAX_NUMBER_OF_PROCESSES", "65536"), ("RABBITMQ_MAX_NUMBER_OF_ATOMS", "1048576"),
                ("RABBITMQ_CONFIG_FILE", configurationFile), ("RABBITMQ_ENABLED_PLUGINS_FILE", pluginsFile),
                // The package's own settings are another node's.
                ("RABBITMQ_CONF_ENV_FILE", folder + "/none"), ("RABBITMQ_CONFIG_FILES", folder + "/none"),
                ("RABBITMQ_ADVANCED_CONFIG_FILE", folder + "/none.config"), ("RABBITMQ_MNESIA_BASE", home),
                ("RABBITMQ_MNESIA_DIR", home + "/data"), ("RABBITMQ_FEATURE_FLAGS_FILE", home + "/feature_flags"),
                ("RABBITMQ_PID_FILE", home + "/pid"), ("RABBITMQ_LOG_BASE", home), ("RABBITMQ_LOGS", "-"),
            ])
    }

    private var configuration: String {
        """
        listeners.tcp.1 = 127.0.0.1:\(port)
        # A path of this file takes no # and no letter beyond Latin-1.
        load_definitions = \((definitionsFile as NSString).lastPathComponent)
        # Publishers wait while less is free; the outbox keeps their events.
        disk_free_limit.absolute = 1GB
        vm_memory_high_watermark.absolute = 512MiB
        raft.wal_max_size_bytes = 67108864
        log.file = false
        log.console = true
        log.console.level = warning

        """
    }

    /// Taken over at every start, so a changed password is, too; with it no other user is made.
    private func definitions() throws -> String {
        let file = Definitions(
            vhosts: [.init(name: "/")], users: [.init(name: Self.user, password: password)],
            permissions: [.init(user: Self.user)])
        return try JSON.text(file)
    }

    /// An interrupted attempt leaves nothing that counts as a home.
    private func makeHome() throws {
        let new = home + ".new"
        if FileManager.default.fileExists(atPath: new) { try FileManager.default.removeItem(atPath: new) }
        try ensureFolder(new, mode: 0o700, owner: nil)
        let cookie = new + "/.erlang.cookie"
        try writeFile(cookie, Data(randomSecret().utf8), mode: 0o400)
        for path in [cookie, new] { try give(path, owner: account?.uid ?? geteuid()) }
        guard rename(new, home) == 0 else { throw SystemError("cannot make \(home)") }
        synchronizeFolder(of: home)
    }

    /// Gives a file or folder to its owner and the node's group.
    private func give(_ path: String, owner: uid_t) throws {
        guard let account else { return }
        guard chown(path, owner, account.gid) == 0 else { throw SystemError("cannot give away \(path)") }
    }

    /// The names are RabbitMQ's.
    private struct Definitions: Encodable {
        struct VirtualHost: Encodable { let name: String }
        struct User: Encodable {
            let name: String
            let password: String
            var tags = ""
        }
        struct Permission: Encodable {
            let user: String
            var vhost = "/"
            var configure = ".*"
            var write = ".*"
            var read = ".*"
        }

        let vhosts: [VirtualHost]
        let users: [User]
        let permissions: [Permission]
    }
}
