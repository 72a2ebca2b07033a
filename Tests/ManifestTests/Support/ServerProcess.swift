import TestSupport

/// A program that runs beside the test until the last reference goes; then it gets SIGTERM and is waited for, with all
/// that it started.
final class ServerProcess {
    private let process: ChildProcess

    var isRunning: Bool { process.end == nil }

    init(_ executable: String, _ arguments: [String]) throws {
        process = try ChildProcess(executable, arguments: arguments, environment: TestProcess.surroundings)
    }

    deinit {
        process.terminate()
        _ = try? process.waitForEnd()
    }
}
