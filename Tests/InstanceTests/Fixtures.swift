import Foundation
import Glibc
import TestSupport

@testable import Instance

extension TemporaryFolder {
    /// One that keeps out the users whom root's parts run as.
    static func closed() throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        chmod(folder.path, 0o700)
        return folder
    }
}

enum TestProject {
    /// The tool, built together with this test.
    static let tool = (Placement.resolve("/proc/self/exe") as NSString).deletingLastPathComponent + "/taproom"
}

/// A state folder, a configuration and a port of a test's own; it is stopped and forgotten with its owner, and also
/// when the tests are killed.
final class TestInstance: Sendable {
    let folder: TemporaryFolder
    let port: Int
    let state: String
    private let tool: [String]
    private let watchdog: Watchdog

    /// - Parameters:
    ///   - tool: of another project than this one.
    ///   - name: of the state folder.
    ///   - mayTrace: whether root may look into other users' processes, as it may not in a container.
    init(
        folder: TemporaryFolder, tool: String = TestProject.tool, name: String = "state", mayTrace: Bool = true
    ) throws {
        self.folder = folder
        let drop = ["--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"]
        self.tool = try mayTrace || geteuid() != 0 ? [tool] : [Subprocess.find("setpriv")] + drop + [tool]
        state = "\(folder.path)/\(name)"
        port = try Loopback.freePort()
        watchdog = try Watchdog(
            folder: folder.path, stop: "TAPROOM_STATE='\(state)' '\(TestProject.tool)' clean-state >/dev/null 2>&1")
    }

    deinit { watchdog.release() }

    /// - Parameter variables: of the environment, beside those that make the instance private.
    func run(_ arguments: String..., port: Int? = nil, variables: [String: String] = [:]) throws -> Subprocess {
        try run(arguments, port: port, variables: variables)
    }

    func run(_ arguments: [String], port: Int? = nil, variables: [String: String] = [:]) throws -> Subprocess {
        try Subprocess.run(tool + arguments, environment: environment(port: port).merging(variables) { $1 })
    }

    /// Starts the tool and lets it run, outside of this project, which it would take for its own.
    func start(_ arguments: String...) throws -> ChildProcess {
        try ChildProcess("/usr/bin/env", arguments: ["--chdir=/"] + tool + arguments, environment: environment())
    }

    private func environment(port: Int? = nil) -> [String: String] {
        [
            "TAPROOM_STATE": state, "TAPROOM_PORT": "\(port ?? self.port)",
            "TAPROOM_CONFIG": folder.path + "/config.json", "PATH": Subprocess.searchPath,
        ]
    }

    /// Lets a real supervisord keep programs, as a start would with those of a project; `down` stops it.
    func supervise(_ programs: [String: String]) throws {
        let state = self.state
        try folder.write(
            "state/supervisord.conf",
            """
            [supervisord]
            pidfile=\(state)/run/supervisord.pid
            logfile=\(state)/supervisord.log
            [unix_http_server]
            file=\(state)/run/functions/supervisor.sock
            [rpcinterface:supervisor]
            supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
            [supervisorctl]
            serverurl=unix://\(state)/run/functions/supervisor.sock
            \(programs.map { "[program:\($0)]\ncommand=\($1)\nstopwaitsecs=2" }.joined(separator: "\n"))

            """)
        for folder in ["/run", "/run/functions"] { mkdir(state + folder, 0o755) }
        let supervisor = Supervisor(placement: Placement(state: state, data: state, run: state + "/run"))
        try supervisor.start()
        let areUp = try waitUntil(seconds: 20) { try supervisor.status().allSatisfy(\.isRunning) }
        guard areUp else { throw InstanceError("\(try supervisor.status())") }
    }

    /// What `status --json` promises to other programs.
    struct Report: Decodable {
        struct Function: Decodable {
            let name: String
            let kind: String
            let state: String
            let pids: [Int]
        }
        struct Queue: Decodable {
            let queue: String
            let function: String
            let waiting, retrying, dead: Int?
        }
        struct Outbox: Decodable {
            let service: String
            let waiting, unroutable: Int?
            let oldestSeconds: Double?
        }
        let gateway: String
        let databases: [String: String]
        let rabbitmq: String?
        let queues: [Queue]
        let outboxes: [Outbox]
        let functions: [Function]
        let state: String
    }

    func report() throws -> Report {
        try JSONDecoder().decode(Report.self, from: Data(try run("status", "--json").output.utf8))
    }

    var gateway: Gateway { Gateway(port: port) }
}
