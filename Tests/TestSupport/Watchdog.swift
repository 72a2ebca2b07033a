import Foundation

/// A shell that waits for the end of this process, also for a kill -9, then stops a server and removes its folder: it
/// reads from a pipe whose other end nobody else has.
public final class Watchdog: Sendable {
    private let process: pid_t
    private let pipe: Int32

    /// - Parameters:
    ///   - folder: removed in the end.
    ///   - stop: a shell command that stops the server.
    public init(folder: String, stop: String) throws {
        var ends: [Int32] = [0, 0]
        guard Glibc.pipe(&ends) == 0 else { throw POSIXError(.EMFILE) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        pipe = ends[1]
        process = try TestProcess.start(
            "/bin/sh", ["-c", "trap '' INT TERM HUP; read -r _; \(stop); rm -rf '\(folder)'"], folder: "/",
            input: .descriptor(ends[0]))
        close(ends[0])
    }

    /// Does at once what the end of the process would do, and waits until it is done.
    public func release() {
        close(pipe)
        TestProcess.wait(for: process)
    }
}
