import Foundation
import Glibc

/// A program run to its end.
struct Subprocess {
    let status: Int32
    let output: String
    let errors: String

    /// Runs a program with a small environment of its own, in `/`, so that nothing of the caller's shell reaches it;
    /// its standard input is an empty file.
    /// - Parameters:
    ///   - account: the user to become first, through setpriv; `nil` = nobody else.
    ///   - seconds: longest wait; `nil` = for ever.
    /// - Throws: `Overdue` when the wait was too long; the program is killed then.
    static func run(
        _ arguments: [String], as account: Account? = nil, environment: [String: String] = [:],
        within seconds: Double? = nil
    ) throws -> Subprocess {
        let command = try Self.command(arguments, as: account)
        // Files, not pipes: a daemon that keeps its standard error open must not keep us waiting for its end.
        let (source, output, errors) = (try TemporaryFile(), try TemporaryFile(), try TemporaryFile())
        // A file is closed when it goes, and of the first nothing but its number is used.
        let pid = try withExtendedLifetime(source) {
            try spawn(
                command, environment: baseEnvironment.merging(environment) { _, new in new },
                streams: [source, output, errors].map(\.handle.fileDescriptor))
        }
        let isOverdue = try seconds.map { try !waitUntil(seconds: $0, every: 5) { try hasEnded(pid) } } ?? false
        if isOverdue { kill(pid, SIGKILL) }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 {
            guard errno == EINTR else { throw SystemError("cannot wait for \(command[0])") }
        }
        if isOverdue { throw Overdue() }
        // As the shell tells it: exit status, or 128 and the signal.
        let signal = status & 0x7F
        return Subprocess(
            status: signal == 0 ? status >> 8 & 0xFF : 128 + signal, output: try output.text(),
            errors: try errors.text())
    }

    struct Overdue: Error {}

    /// Whether a child has ended; it remains to be waited for.
    private static func hasEnded(_ pid: pid_t) throws -> Bool {
        var info = siginfo_t()
        guard waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 else {
            throw SystemError("cannot wait for process \(pid)")
        }
        return info.si_signo == SIGCHLD
    }

    /// posix_spawn(3), not Foundation's Process: that one hands a socket to its child and waits until all who
    /// inherited it are gone, which a daemon never is.
    private static func spawn(_ command: [String], environment: [String: String], streams: [Int32]) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (target, stream) in streams.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, stream, Int32(target))
        }
        // Nothing else of ours, or of whoever started us, may live on in a daemon.
        for name in try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
            if let file = Int32(name), file > 2 { _ = fcntl(file, F_SETFD, FD_CLOEXEC) }
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // A thread that blocks signals hands that on, down to daemons that then cannot be stopped.
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        let program = "/usr/bin/env"
        let arguments = ([program, "--chdir=/"] + command).map { strdup($0) } + [nil]
        let variables = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in arguments + variables { free(text) } }
        var pid: pid_t = 0
        let result = posix_spawn(&pid, program, &actions, &attributes, arguments, variables)
        guard result == 0 else {
            errno = result
            throw SystemError("cannot run \(command[0])")
        }
        return pid
    }

    /// The command that becomes this user first; itself for `nil`.
    static func command(_ arguments: [String], as account: Account?) throws -> [String] {
        guard let account else { return arguments }
        return [try find("setpriv"), "--reuid", account.name, "--regid", account.group, "--init-groups"] + arguments
    }

    /// Runs it and throws what it said when it fails.
    static func check(_ arguments: [String], as account: Account? = nil) throws {
        let result = try run(arguments, as: account)
        guard result.status == 0 else {
            let said = (result.errors + result.output).trimmingCharacters(in: .whitespacesAndNewlines)
            throw InstanceError("\(arguments.joined(separator: " ")) failed with status \(result.status): \(said)")
        }
    }

    static let searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    static let baseEnvironment = ["PATH": searchPath, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"]

    /// The full path of a program of the system.
    static func find(_ program: String) throws -> String {
        for folder in searchPath.split(separator: ":") {
            let path = "\(folder)/\(program)"
            if FileManager.default.isExecutableFile(atPath: path) { return path }
        }
        throw InstanceError("\(program) is not installed: run scripts/install-packages")
    }
}

/// An open file without a name.
private struct TemporaryFile {
    let handle: FileHandle

    init() throws {
        let folder = NSTemporaryDirectory()
        var template = Array((folder + "/taproom.XXXXXX").utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else { throw SystemError("cannot make a temporary file in \(folder) (TMPDIR)") }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        unlink(template)
        handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }

    func text() throws -> String {
        try handle.seek(toOffset: 0)
        return String(decoding: try handle.readToEnd() ?? Data(), as: UTF8.self)
    }
}
