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

    @Flag(help: "Delete the events that they hold, too.")
    var discard = false

    func run() throws {
        let project = try Project.find()
        _ = try Instance.startedWithBroker(project)
        let lock = try StateLock(state: project.state, progress: Progress())
        defer { _ = lock }
        let instance = try Instance.startedWithBroker(project)
        // A queue's name begins those of its retry queues, which go first.
        for name in Set(names).sorted(by: >) {
            let count = try instance.deleteFormerQueue(name, discardsEvents: discard)
            print("deleted \(name) with \(count) events")
        }
    }
}
