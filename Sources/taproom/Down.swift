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
