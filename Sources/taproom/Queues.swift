import ArgumentParser
import Instance

struct Queues: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Deletes queues that functions.yml named once and names no more.",
        subcommands: [QueuesDelete.self])
}

struct QueuesDelete: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Deletes queues of former functions, which taproom doctor names.")

    @Argument(help: "The queues.")
    var names: [String]

    @Flag(help: "Delete them with all events in them; without it nothing is deleted.")
    var discard = false

    func run() throws {
        let project = try Project.find()
        _ = try Instance.startedWithBroker(project)
        let progress = Progress()
        let lock = try StateLock(state: project.state, progress: progress)
        defer { _ = lock }
        try Instance.startedWithBroker(project)
            .deleteFormerQueues(names, discardsEvents: discard, progress: progress)
    }
}
