import Foundation
import Glibc
import Runtime

/// A program that a test started. It is killed, if need be, and reaped when its owner goes.
public final class ChildProcess: Sendable {
    public enum End: Sendable, Equatable {
        case exited(Int32)
        case killed(signal: Int32)
    }

    public let pid: Int32
    private let shared: Shared

    private final class Shared: Sendable {
        struct State {
            var end: End?
            var lines: [String] = []
            var isStandardErrorOpen = true
        }
        let state = Lock(State())
    }

    /// Starts a program.
    /// - Parameters:
    ///   - environment: the whole of it.
    ///   - input, output: descriptors for its standard input and output; default /dev/null.
    /// - Throws: when it cannot be started.
    public init(
        _ path: String, arguments: [String] = [], environment: [String: String], input: Int32? = nil,
        output: Int32? = nil
    ) throws {
        let (reading, writing) = StreamSocket.pair()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (number, descriptor, mode) in [(STDIN_FILENO, input, O_RDONLY), (STDOUT_FILENO, output, O_WRONLY)] {
            if let descriptor {
                posix_spawn_file_actions_adddup2(&actions, descriptor, number)
            } else {
                posix_spawn_file_actions_addopen(&actions, number, "/dev/null", mode, 0)
            }
        }
        posix_spawn_file_actions_adddup2(&actions, writing.number, STDERR_FILENO)
        pid = try Self.spawn(path, arguments, environment, &actions)
        writing.close()
        let shared = Shared()
        self.shared = shared
        let pid = pid
        _ = Background { Self.readLines(reading, shared) }
        _ = Background {
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0, errno == EINTR {}
            let signal = status & 0x7F
            let end: End = signal == 0 ? .exited(status >> 8 & 0xFF) : .killed(signal: signal)
            shared.state.withLock { $0.end = end }
        }
    }

    deinit { kill() }

    private static func spawn(
        _ path: String, _ arguments: [String], _ environment: [String: String],
        _ actions: inout posix_spawn_file_actions_t
    ) throws -> pid_t {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // The test runner's own signal mask and ignored signals are none of the program's business.
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var argv = ([path] + arguments).map { strdup($0) } + [nil]
        var envp = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (argv + envp).forEach { free($0) } }
        var pid = pid_t()
        let result = DescriptorInheritance.exclusively {
            posix_spawn(&pid, path, &actions, &attributes, &argv, &envp)
        }
        guard result == 0 else { throw SystemCallError("posix_spawn \(path)", result) }
        return pid
    }

    private static func readLines(_ socket: StreamSocket, _ shared: Shared) {
        var rest: [UInt8] = []
        while true {
            // A quiet program is no fault: only the end of the stream, or an error other than the time-out, is the end.
            guard socket.waitForInput(milliseconds: 1000) else { continue }
            guard let piece = try? socket.receive(), !piece.isEmpty else { break }
            rest += piece
            while let end = rest.firstIndex(of: 10) {
                let line = String(decoding: rest[..<end], as: UTF8.self)
                rest.removeFirst(end + 1)
                shared.state.withLock { $0.lines.append(line) }
            }
        }
        let last = String(decoding: rest, as: UTF8.self)
        shared.state.withLock { state in
            if !last.isEmpty { state.lines.append(last) }
            state.isStandardErrorOpen = false
        }
    }

    /// The lines it has written on standard error so far.
    public var lines: [String] { shared.state.withLock { $0.lines } }

    /// How it ended; `nil` while it runs.
    public var end: End? { shared.state.withLock { $0.end } }

    /// Sends a signal, unless it has ended.
    public func send(signal: Int32) {
        // Under the lock the number cannot have been reaped and given to another process without our noticing.
        shared.state.withLock { state in if state.end == nil { _ = Glibc.kill(pid, signal) } }
    }

    /// SIGTERM: it finishes what it has in hand.
    public func terminate() { send(signal: SIGTERM) }

    /// Whether a function has taken SIGTERM and told its workers: its `StopSignal` is an eventfd, the only one it has.
    public func hasRaisedStop() throws -> Bool {
        let folder = "/proc/\(pid)/fdinfo"
        return try FileManager.default.contentsOfDirectory(atPath: folder).contains { name in
            let lines =
                (try? String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8))?.split(separator: "\n") ?? []
            return lines.contains { $0.hasPrefix("eventfd-count:") && !$0.hasSuffix(" 0") }
        }
    }
    /// SIGKILL.
    public func kill() { send(signal: SIGKILL) }

    /// Waits for its end, and for the last line it wrote.
    public func waitForEnd() throws -> End {
        try Eventually.happens("the end of process \(pid)", within: 300) {
            shared.state.withLock { $0.end != nil && !$0.isStandardErrorOpen }
        }
        return end ?? .exited(-1)
    }
}
