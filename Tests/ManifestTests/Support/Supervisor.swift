import TestSupport

/// A real supervisord in the foreground; stopped, with all that it started, with the last reference.
final class Supervisor {
    private let process: ServerProcess
    private let file: String

    init(_ configuration: String, in folder: TemporaryFolder) throws {
        try folder.write("supervisord.conf", configuration)
        file = "\(folder.path)/supervisord.conf"
        process = try ServerProcess("/usr/bin/supervisord", ["--nodaemon", "-c", file])
    }

    /// What supervisorctl prints.
    func control(_ words: String...) throws -> String {
        try TestProcess.run("/usr/bin/supervisorctl", ["-c", file] + words).output
    }
}
