import ArgumentParser
import Instance

struct Down: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Stops everything and keeps the data.")

    func run() throws {
        let project = try Project.find()
        let progress = Progress()
        let ran = try Shutdown(project: project, progress: progress).run()
        progress.say(ran ? "Down. The data stays in \(project.state)." : "Nothing runs in \(project.state).")
    }
}

struct CleanState: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Stops everything and forgets it: databases, logs, whatever the state folder holds.")

    func run() throws {
        let project = try Project.find()
        let progress = Progress()
        let state = project.state
        let was = try Shutdown(project: project, progress: progress).forget()
        progress.say(was ? "\(state) is forgotten." : "Nothing to forget in \(state).")
    }
}
