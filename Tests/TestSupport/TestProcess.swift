import Foundation

/// Runs a program to its end and keeps what it says.
///
/// It is posix_spawn and not `Foundation.Process`: that one takes a program for running as long as anything it has
/// started holds a descriptor of its own, so it waits for ever for a `pg_ctl start`.
public struct TestProcess: Sendable {
    /// Exit status; 128 and the signal's number when a signal ended it.
    public let status: Int32
    public let output: String
    public let errors: String

    /// - Parameters:
    ///   - program: an absolute path, or a name that is looked up in PATH.
    ///   - input: what it reads on standard input; nothing by default.
    ///   - environment: variables beside those of the test process, see ``surroundings``.
    ///   - folder: where it runs; default where the test process does.
    /// - Throws: when the program cannot be started.
    public static func run(
        _ program: String, _ arguments: [String] = [], input: String = "", environment: [String: String] = [:],
        folder: String? = nil
    ) throws -> TestProcess {
        // Files, because a program that fills one pipe while we read the other waits for ever.
        let scratch = try TemporaryFolder()
        for (name, text) in [("0", input), ("1", ""), ("2", "")] { try scratch.write(name, text) }
        let process = try start(
            program, arguments, environment: environment, folder: folder, input: .file("\(scratch.path)/0"),
            output: "\(scratch.path)/1", errors: "\(scratch.path)/2")
        return TestProcess(status: wait(for: process), output: try scratch.read("1"), errors: try scratch.read("2"))
    }

    /// The path of an executable of this package, built beside the tests.
    public static func product(_ name: String) -> String {
        URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().appending(path: name).path
    }

    /// The environment of the test process without Taproom's own variables: they may name a shop that is in use.
    public static var surroundings: [String: String] {
        ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("TAPROOM_") }
    }

    // MARK: Starting and waiting

    enum Input {
        case file(String)
        case descriptor(Int32)
    }

    /// Starts a program without waiting for it.
    /// - Returns: its process id; the caller waits for it.
    static func start(
        _ program: String, _ arguments: [String], environment: [String: String] = [:], folder: String? = nil,
        input: Input, output: String = "/dev/null", errors: String = "/dev/null"
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        switch input {
        case .file(let path): posix_spawn_file_actions_addopen(&actions, 0, path, O_RDONLY, 0)
        case .descriptor(let descriptor): posix_spawn_file_actions_adddup2(&actions, descriptor, 0)
        }
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY, 0)
        let variables = surroundings.merging(environment) { $1 }
        // Swift does not see posix_spawn_file_actions_addchdir_np.
        let command = (folder.map { ["env", "--chdir=\($0)"] } ?? []) + [program] + arguments
        var words: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        var pairs: [UnsafeMutablePointer<CChar>?] = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (words + pairs).forEach { free($0) } }
        var process: pid_t = 0
        let code = posix_spawnp(&process, command[0], &actions, nil, &words, &pairs)
        guard code == 0 else { throw POSIXError(POSIXErrorCode(rawValue: code) ?? .EIO) }
        return process
    }

    @discardableResult
    static func wait(for process: pid_t) -> Int32 {
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        let signal = status & 0x7F
        return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
    }
}
