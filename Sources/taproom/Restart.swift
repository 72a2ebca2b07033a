import ArgumentParser
import Instance

struct Restart: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Replaces workers; requests wait meanwhile and none is lost.")

    @Argument(help: "The function; all when it is left out.")
    var function: String?

    func run() throws {
        let project = try Project.find()
        let progress = Progress()
        _ = try Instance.running(project)
        let lock = try StateLock(state: project.state, progress: progress)
        defer { _ = lock }
        // Whoever had the lock may have stopped it.
        let instance = try Instance.running(project)
        let title = function.map { "Restarting \($0)" } ?? "Restarting all functions"
        try progress.step(title) { try RollingRestart(instance: instance).run(function: function) }
    }
}
