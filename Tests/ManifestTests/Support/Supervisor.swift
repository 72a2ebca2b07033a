import Foundation

/// A real supervisord in the foreground; stopped, with all that it started, with the last reference.
final class Supervisor {
    private let process: ServerProcess
    private let file: String

    init(_ configuration: String, in folder: TemporaryFolder) throws {
        file = try folder.write(configuration, to: "supervisord.conf")
        process = try ServerProcess("/usr/bin/supervisord", ["--nodaemon", "-c", file])
    }

    /// What supervisorctl prints.
    func control(_ words: String...) throws -> String {
        let control = Process()
        control.executableURL = URL(filePath: "/usr/bin/supervisorctl")
        control.arguments = ["-c", file] + words
        let output = Pipe()
        control.standardOutput = output
        try control.run()
        let printed = output.fileHandleForReading.readDataToEndOfFile()
        control.waitUntilExit()
        return String(decoding: printed, as: UTF8.self)
    }
}
