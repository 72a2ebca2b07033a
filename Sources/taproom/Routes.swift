import ArgumentParser
import Instance
import Manifest

struct Routes: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lists every route, schedule, queue and outbox with its function.")

    func run() throws {
        let project = try Project.find()
        let manifest = try project.manifest()
        let record = try InstanceRecord.load(state: project.state)
        print(manifest.tables(base: record?.gateway ?? "").joined(separator: "\n"), terminator: "")
    }
}
