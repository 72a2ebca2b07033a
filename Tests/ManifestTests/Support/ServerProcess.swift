import Foundation

/// A program that runs beside the test until the last reference goes; then it gets SIGTERM and is waited for.
final class ServerProcess {
    private let process = Process()

    var isRunning: Bool { process.isRunning }

    init(_ executable: String, _ arguments: [String]) throws {
        process.executableURL = URL(filePath: executable)
        process.arguments = arguments
        process.standardOutput = FileHandle.nullDevice
        // Tests run on threads of a pool with all signals blocked, and a child inherits that.
        var none = sigset_t(), before = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        try process.run()
    }

    deinit {
        process.terminate()
        process.waitUntilExit()
    }
}
