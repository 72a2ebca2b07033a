import ArgumentParser
import Instance

struct CleanState: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Stops everything and deletes its data: databases, logs, whatever the state folder holds.")

    func run() throws {
        let project = try Project.find()
        let progress = Progress()
        let state = project.state
        let was = try Shutdown(project: project, progress: progress).forget()
        progress.say(was ? "\(state) was deleted." : "Nothing to delete in \(state).")
    }
}
