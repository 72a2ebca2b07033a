import Foundation
import Runtime

/// A RabbitMQ node for tests: one per test process, started on first use, gone with the process however it ends.
///
/// It listens on free loopback ports, has a name, a cookie and a password of its own, no plugins, and an epmd that
/// serves nobody else. A test takes names of its own:
///
/// ```swift
/// let topology = ConsumerTopology(queue: "test1.queue", exchange: "test1.events", routingKeys: ["#"])
/// try topology.declare(at: BrokerAddress(RabbitMQServer.shared.url), deadline: deadline)
/// ```
public final class RabbitMQServer: Sendable {
    /// Started when first asked for; a test process without RabbitMQ ends with a message.
    public static let shared: RabbitMQServer = {
        do {
            let server = try RabbitMQServer()
            atexit { RabbitMQServer.shared.stop() }
            return server
        } catch {
            fatalError("no RabbitMQ for the tests: \(error)")
        }
    }()

    /// Holds the node's data, its log and its configuration.
    public let folder: String
    public let port: Int
    private let password: String
    private let environment: [String: String]
    private let tools: RabbitMQTools
    private let watchdog: Watchdog
    private let node = Lock<ChildProcess?>(nil)
    private let mapper: ChildProcess

    /// The AMQP URI of the node.
    public var url: String { "amqp://taproom:\(password)@127.0.0.1:\(port)/" }

    /// A node of its own, for a suite that breaks it; gone with this value.
    public init() throws {
        let tools = try RabbitMQTools()
        let name = "taproom-\(getpid())-\(UInt32.random(in: 0...(.max)))"
        let folder = "/tmp/taproom-rabbitmq-\(name)"
        let (port, distribution, mapping) = try (Loopback.freePort(), Loopback.freePort(), Loopback.freePort())
        password = UUID().uuidString
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        // From here on the folder and the processes in it go when this process does.
        watchdog = try Watchdog(
            folder: folder, stop: "for p in $(cat '\(folder)'/*.pid 2>/dev/null); do kill -9 $p 2>/dev/null; done")
        let files = [
            "home/.erlang.cookie": UUID().uuidString,
            "enabled_plugins": "[].\n",
            "rabbitmq.conf": """
            listeners.tcp.default = 127.0.0.1:\(port)
            default_user = taproom
            default_pass = \(password)
            disk_free_limit.absolute = 50MB
            log.file = \(folder)/node.log
            log.console = false
            raft.wal_max_size_bytes = 64000000

            """,
        ]
        try FileManager.default.createDirectory(atPath: "\(folder)/home", withIntermediateDirectories: false)
        for (name, text) in files { try Data(text.utf8).write(to: URL(filePath: "\(folder)/\(name)")) }
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o400], ofItemAtPath: "\(folder)/home/.erlang.cookie")
        try tools.takeOver(folder)
        environment = [
            "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "\(folder)/home", "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_NODENAME": "\(name)@localhost", "RABBITMQ_CONF_ENV_FILE": "\(folder)/none",
            "RABBITMQ_ADVANCED_CONFIG_FILE": "\(folder)/none", "RABBITMQ_CONFIG_FILE": "\(folder)/rabbitmq.conf",
            "RABBITMQ_MNESIA_BASE": "\(folder)/mnesia", "RABBITMQ_LOG_BASE": folder,
            "RABBITMQ_ENABLED_PLUGINS_FILE": "\(folder)/enabled_plugins", "RABBITMQ_DIST_PORT": "\(distribution)",
            "ERL_EPMD_PORT": "\(mapping)", "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_CRASH_DUMP_SECONDS": "0",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        ]
        // Without one of its own, the node would start an epmd that outlives it.
        mapper = try tools.start("epmd", "-address", "127.0.0.1", "-port", "\(mapping)", environment: environment)
        (self.tools, self.folder, self.port) = (tools, folder, port)
        try note(mapper, as: "epmd")
        try Eventually.happens("epmd at port \(mapping)") { Loopback.isListening(mapping) }
        try start()
    }

    /// kill -9; the port refuses connections when it returns.
    public func kill() throws {
        let running = node.withLock { node in
            defer { node = nil }
            return node
        }
        running?.kill()
        _ = try running?.waitForEnd()
        // From now on the number may be another process's.
        try? FileManager.default.removeItem(atPath: "\(folder)/node.pid")
    }

    /// Starts the node after `kill`, on the same ports and data; returns when it takes connections.
    public func start() throws {
        let process = try tools.start(RabbitMQTools.server, environment: environment)
        try note(process, as: "node")
        node.withLock { $0 = process }
        try Eventually.happens("RabbitMQ at port \(port), see \(folder)/node.log", within: 120) {
            if let end = process.end { throw RabbitMQTools.Failure("RabbitMQ ended: \(end) \(process.lines)") }
            return Loopback.isListening(port)
        }
    }

    /// Stops the node where it stands: connections stay open and nobody answers.
    public func freeze() { node.withLock { $0?.send(signal: SIGSTOP) } }
    public func thaw() { node.withLock { $0?.send(signal: SIGCONT) } }

    /// Lets the node take no messages, as for want of disk, or take them again.
    public func setAlarm(_ isOn: Bool) throws {
        try control("set_disk_free_limit", isOn ? "1000000GB" : "50MB")
    }

    /// Runs a command of rabbitmqctl.
    public func control(_ arguments: String...) throws { try tools.control(arguments, environment: environment) }

    /// Connections that the node has not closed, also where the other end has gone.
    public func connections() throws -> Int {
        let address = ":" + String(format: "%04X", port)
        return try KernelFile.text("/proc/net/tcp").split(separator: "\n").filter { line in
            // Its own end comes first; 01 is ESTABLISHED, 08 CLOSE_WAIT.
            let fields = line.split(separator: " ")
            return fields[1].hasSuffix(address) && ["01", "08"].contains(fields[3])
        }.count
    }

    private func note(_ process: ChildProcess, as name: String) throws {
        try Data("\(process.pid)\n".utf8).write(to: URL(filePath: "\(folder)/\(name).pid"))
    }

    deinit { stop() }

    private func stop() {
        node.withLock { $0?.kill() }
        mapper.kill()
        watchdog.release()
    }
}

/// RabbitMQ's programs, run as an ordinary user: as `rabbitmq` when the tests run as root, as its own package does.
private struct RabbitMQTools: Sendable {
    /// Not the one in /usr/sbin, which changes the user by itself and writes into /var.
    static let server = "/usr/lib/rabbitmq/bin/rabbitmq-server"
    private let asOwner = getuid() == 0 ? ["setpriv", "--reuid=rabbitmq", "--regid=rabbitmq", "--init-groups"] : []

    struct Failure: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    init() throws {
        guard FileManager.default.isExecutableFile(atPath: Self.server) else {
            throw Failure("\(Self.server) is not there; install the package rabbitmq-server")
        }
    }

    func start(_ command: String..., environment: [String: String]) throws -> ChildProcess {
        try ChildProcess("/usr/bin/env", arguments: asOwner + command, environment: environment)
    }

    func control(_ arguments: [String], environment: [String: String]) throws {
        let command = asOwner + ["/usr/lib/rabbitmq/bin/rabbitmqctl"] + arguments
        let result = try TestProcess.run("/usr/bin/env", command, environment: environment)
        guard result.status == 0 else { throw Failure(result.errors + result.output) }
    }

    /// Gives a folder to the user that the node runs as.
    func takeOver(_ folder: String) throws {
        guard !asOwner.isEmpty else { return }
        let result = try TestProcess.run("chown", ["-R", "rabbitmq:rabbitmq", folder])
        guard result.status == 0 else { throw Failure(result.errors) }
    }
}
