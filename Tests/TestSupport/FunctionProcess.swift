import Glibc
import Runtime

/// A function of this package, running as a FastCGI process on a Unix socket of its own.
///
/// It is killed when its owner goes; `terminate` and `waitForEnd` of `process` end it in good order.
public final class FunctionProcess: Sendable {
    public let process: ChildProcess
    public let socketPath: String
    private let folder: TemporaryFolder
    private let listener: StreamListener

    /// Starts a function.
    /// - Parameters:
    ///   - executable: its product, such as `SubscribeFunction`.
    ///   - routes: TAPROOM_ROUTES, such as `["POST /club/{id}/subscribe/"]`.
    ///   - timeout: seconds.
    ///   - concurrency: worker threads.
    ///   - environment: what `functions.yml` would give it beside.
    public convenience init(
        _ executable: String, routes: [String], timeout: Int = 6, concurrency: Int = 4,
        environment: [String: String] = [:]
    ) throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/function.sock"
        try self.init(
            executable,
            environment.merging(
                Self.environment(executable, routes: routes, timeout: timeout, concurrency: concurrency)
            ) { given, _ in given },
            folder: folder, path: path, listener: try StreamListener(path: path))
    }

    private init(
        _ executable: String, _ environment: [String: String], folder: TemporaryFolder, path: String,
        listener: StreamListener
    ) throws {
        self.folder = folder
        self.listener = listener
        socketPath = path
        process = try ChildProcess(TestProcess.product(executable), environment: environment, input: listener.number)
    }

    /// The variables that the command line tool renders for every function.
    public static func environment(
        _ executable: String, routes: [String], timeout: Int = 6, concurrency: Int = 4
    ) -> [String: String] {
        [
            "TAPROOM_FUNCTION": String(executable.prefix { $0 != "F" }).lowercased(),
            "TAPROOM_ROUTES": routes.joined(separator: "\n"), "TAPROOM_TIMEOUT": String(timeout),
            "TAPROOM_CONCURRENCY": String(concurrency), "LD_LIBRARY_PATH": TestProcess.product("libraries"),
            "GLIBC_TUNABLES": "glibc.malloc.tcache_max=128", "RES_OPTIONS": "timeout:1 attempts:2",
        ]
    }

    /// Another process of the same kind on the same socket, which outlives either of them.
    public func sibling(_ executable: String, environment: [String: String]) throws -> FunctionProcess {
        try FunctionProcess(executable, environment, folder: folder, path: socketPath, listener: listener)
    }

    /// Sends one request and reads its answer.
    public func request(
        _ method: String, _ target: String, parameters: [(String, String)] = [], body: [UInt8] = []
    ) throws -> FastCGIResponse {
        try FastCGIProbe(path: socketPath).request(method, target, parameters: parameters, body: body)
    }

    /// The log as JSON, one value per line.
    /// - Throws: for a line that is not JSON.
    public func log() throws -> [TestJSON] { try process.lines.map { try TestJSON(parsing: $0) } }

    /// Waits until so many lines are in the log, and returns them all.
    public func waitForLog(lines count: Int) throws -> [TestJSON] {
        try Eventually.happens("\(count) log lines, not \(process.lines)") { process.lines.count >= count }
        return try log()
    }
}

/// A scheduled function of this package, running as supervisord would start it.
public final class ScheduledProcess: Sendable {
    public let process: ChildProcess

    /// - Parameters:
    ///   - seconds: the interval, TAPROOM_SCHEDULE.
    ///   - environment: what `functions.yml` would give it beside.
    public init(_ executable: String, name: String, everySeconds seconds: Int, environment: [String: String]) throws {
        let own = ["TAPROOM_FUNCTION": name, "TAPROOM_SCHEDULE": String(seconds), "TAPROOM_TIMEOUT": "20"]
        process = try ChildProcess(
            TestProcess.product(executable), environment: environment.merging(own) { given, _ in given })
    }

    /// The log as JSON, one value per line.
    public func log() throws -> [TestJSON] { try process.lines.map { try TestJSON(parsing: $0) } }
}

/// One run of a function, from start to end: plain CGI, a JSON event, or a start that is refused.
public struct FunctionRun: Sendable {
    public let end: ChildProcess.End
    public let output: [UInt8]
    /// Lines on standard error.
    public let lines: [String]

    public init(
        _ executable: String, arguments: [String] = [], environment: [String: String], input: [UInt8] = []
    ) throws {
        let (giving, given) = StreamSocket.pair()
        let (taking, taken) = StreamSocket.pair()
        let process = try ChildProcess(
            TestProcess.product(executable), arguments: arguments, environment: environment, input: given.number,
            output: taken.number)
        given.close()
        taken.close()
        _ = Background {
            // A program that does not read its input is free not to.
            try? giving.send(input)
            giving.finishSending()
        }
        output = try taking.receiveAll()
        end = try process.waitForEnd()
        lines = process.lines
    }
}
