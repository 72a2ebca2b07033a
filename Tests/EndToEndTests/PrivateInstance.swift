import Foundation
import Postgres
import Runtime
import TestSupport
import Testing

/// Taproom as `make up` starts it, on a state folder and ports of its own; it ends with the test process.
final class PrivateInstance: Sendable {
    /// Charges through its own orders service, as a fresh installation does.
    static let whole = Result { try PrivateInstance(platform: nil) }
    /// The same, for requests that are made up from openapi.yml.
    static let conforming = Result { try PrivateInstance(platform: nil) }
    /// Charges through a platform that the tests direct.
    static let directed = Result { try PrivateInstance(platform: ScriptedPlatform()) }
    /// The same, for the suite that breaks it at every step and needs it for itself.
    static let broken = Result { try PrivateInstance(platform: ScriptedPlatform()) }
    /// The same, for the suite that refuses its writes and operates it, with charges that stand for as long as that takes.
    static let outage = Result { try PrivateInstance(platform: ScriptedPlatform(), chargeSeconds: 120) }
    /// The same, for the randomised run.
    static let soaked = Result { try PrivateInstance(platform: ScriptedPlatform()) }

    /// The same, for tests that charge every subscription there is.
    static let charged = Result { try PrivateInstance(platform: ScriptedPlatform()) }

    let port: Int
    let platform: ScriptedPlatform?
    private let folder: String
    /// Where its tool runs.
    private let project: String
    private let watchdog: Watchdog
    private let counter = Lock(0)

    /// - Parameter chargeSeconds: the time limit of the charge function, when it is not that of functions.yml.
    private init(platform: ScriptedPlatform?, chargeSeconds: Int? = nil) throws {
        let folder = "/tmp/taproom-end-to-end-\(getpid())-\(UInt32.random(in: 0...(.max)))"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o755])
        project = try chargeSeconds.map { try Self.project(in: folder, chargeSeconds: $0) } ?? Repository.root
        port = try Loopback.freePort()
        (self.folder, self.platform) = (folder, platform)
        let environment = Self.environment(folder, port, platform)
        let variables = environment.map { "\($0.key)='\($0.value)'" }.joined(separator: " ")
        watchdog = try Watchdog(
            folder: folder,
            stop:
                "cd '\(project)' && \(variables) '\(TestProcess.product("taproom"))' clean-state >/dev/null 2>&1"
        )
        try tool("up")
    }

    /// The project as it is, but for one line of functions.yml.
    private static func project(in folder: String, chargeSeconds: Int) throws -> String {
        let project = "\(folder)/project"
        try FileManager.default.createDirectory(atPath: project, withIntermediateDirectories: false)
        let map = "functions.yml"
        for name in try FileManager.default.contentsOfDirectory(atPath: Repository.root) where name != map {
            try FileManager.default.createSymbolicLink(
                atPath: "\(project)/\(name)", withDestinationPath: "\(Repository.root)/\(name)")
        }
        let text = try String(contentsOfFile: "\(Repository.root)/\(map)", encoding: .utf8)
        let line = "description: Charges a subscription for this month, once\n    timeout: "
        guard let limit = text.firstRange(of: line) else { throw Failed(description: "no time limit of charge") }
        let rest = text[limit.upperBound...].drop(while: \.isNumber)
        try Data("\(text[..<limit.upperBound])\(chargeSeconds)\(rest)".utf8)
            .write(to: URL(filePath: "\(project)/\(map)"))
        return project
    }

    private static func environment(_ folder: String, _ port: Int, _ platform: ScriptedPlatform?) -> [String: String] {
        var variables = [
            "TAPROOM_STATE": "\(folder)/state", "TAPROOM_PORT": "\(port)", "TAPROOM_CONFIG": "\(folder)/config.json",
        ]
        if let platform { variables["TAPROOM_ECOMMERCE_URL"] = platform.url }
        return variables
    }

    struct Failed: Error, CustomStringConvertible {
        let description: String
    }

    /// Runs `taproom` for this instance, perhaps with other settings than its own, and returns what it prints.
    @discardableResult
    func tool(_ arguments: String..., settings: [String: String] = [:]) throws -> String {
        let run = try run(arguments, settings: settings)
        guard run.status == 0 else {
            throw Failed(description: "taproom \(arguments): \(run.status)\n\(run.output)\n\(run.errors)")
        }
        return run.output
    }

    /// Runs `taproom` for this instance, whatever its exit status.
    func run(_ arguments: [String], settings: [String: String] = [:]) throws -> TestProcess {
        try TestProcess.run(
            TestProcess.product("taproom"), arguments,
            environment: Self.environment(folder, port, platform).merging(settings) { $1 }, folder: project)
    }

    /// Starts `taproom` for this instance and lets it run.
    func start(_ arguments: String...) throws -> ChildProcess {
        let variables = TestProcess.surroundings.merging(Self.environment(folder, port, platform)) { $1 }
        return try ChildProcess(TestProcess.product("taproom"), arguments: arguments, environment: variables)
    }

    /// A file beside its state, which goes with it.
    func scratch(_ name: String) -> String { "\(folder)/\(name)" }

    /// Where its copies of the functions are.
    var executables: String { "\(folder)/state/bin" }

    var http: HTTPProbe { HTTPProbe(port: port) }

    /// What `taproom status --json` tells outsiders.
    func status() throws -> TestJSON { try TestJSON(parsing: tool("status", "--json")) }

    /// The worker processes of a function.
    func pids(_ function: String) throws -> [Int32] {
        let entry = try status()["functions"]?.elements.first { $0["name"]?.string == function }
        return entry?["pids"]?.elements.compactMap { $0.integer.map(Int32.init) } ?? []
    }

    /// A service's database by the address that outsiders are given.
    func database(_ service: String = "subscriptions") throws -> Database {
        Database(url: try databaseURL(service), application: "outsider")
    }

    func databaseURL(_ service: String = "subscriptions") throws -> String {
        guard let url = try status()["databases"]?[service]?.string else { throw Failed(description: "no \(service)") }
        return url
    }

    /// The lines that a function has logged so far; of one that is being written nothing.
    func log(_ function: String) throws -> [TestJSON] {
        let lines = try logText(function).split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        return try lines.filter { !$0.isEmpty }.map { try TestJSON(parsing: String($0)) }
    }

    func logText(_ name: String) throws -> String {
        try String(contentsOfFile: "\(folder)/state/log/\(name).log", encoding: .utf8)
    }

    /// The headers that the local platform asks for.
    func credentials() throws -> [(String, String)] {
        let file = try TestJSON(parsing: String(contentsOfFile: "\(folder)/config.json", encoding: .utf8))
        return [
            ("x-api-key", file["ecommerce"]?["api_key"]?.string ?? ""),
            ("x-api-secret", file["ecommerce"]?["api_secret"]?.string ?? ""),
        ]
    }

    func postmaster() throws -> Int32 {
        let file = try String(contentsOfFile: "\(folder)/state/postgres/postmaster.pid", encoding: .utf8)
        guard let pid = file.split(separator: "\n").first.flatMap({ Int32($0) }) else {
            throw Failed(description: "no postmaster")
        }
        return pid
    }

    func unique(_ prefix: String) -> String {
        let number = counter.withLock { count in
            count += 1
            return count
        }
        return "\(prefix)-\(number)"
    }

    /// A club that is active, written the way outsiders do.
    func club(in database: Database, status: Int = 1) throws -> Int {
        let id = try database.execute(
            "INSERT INTO club (name, store_sku) VALUES ('Pale Ale Circle', 4711) RETURNING id", deadline: .soon)[0]
            .decode(Int.self)
        try database.execute(
            """
            INSERT INTO club_status_history VALUES
                (\(unique("club")), \(id), \(status), now() AT TIME ZONE 'UTC' - interval '1 day', NULL, NULL)
            """, deadline: .soon)
        return id
    }

    /// A subscription made through the gateway; while another test keeps every worker busy it is asked for again.
    func subscription(inClub club: Int) throws -> String {
        let customer = unique("c")
        var answer: HTTPProbe.Response?
        try Eventually.happens("a subscription") {
            answer = try http.request("POST", "/club/\(club)/subscribe/", json: #"{"customer_id":"\#(customer)"}"#)
            return answer?.status != 503
        }
        guard let answer, answer.status == 200, let id = try answer.json()["id"]?.string else {
            throw Failed(description: "\(answer?.status ?? 0) \(answer?.text ?? "")")
        }
        return id
    }
}

/// What directs the platform or restarts parts of the shared instance: one test at a time.
@Suite(.serialized) enum DirectedInstance {}
