import ArgumentParser
import Foundation
import Instance
import Manifest

struct Render: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Writes nginx.conf and topology.json at the top of the project from functions.yml.")

    @Flag(help: "Write nothing; exit 1 when a file differs from what would be written.")
    var check = false

    func run() throws {
        let project = try Project.find()
        let manifest = try project.checkedManifest()
        for warning in manifest.warnings { FileHandle.standardError.tell("warning: \(warning)\n") }
        var isUpToDate = true
        for (name, text) in [
            ("nginx.conf", manifest.nginxConfiguration(.host)), ("topology.json", manifest.topology.definitions),
        ] {
            let path = "\(project.root)/\(name)"
            guard let drift = Manifest.drift(of: text, fileAt: path) else {
                print("\(path) is up to date")
                continue
            }
            if check {
                FileHandle.standardError.tell("\(drift)\nrun: taproom render\n")
                isUpToDate = false
            } else {
                do {
                    try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
                } catch {
                    let cause = (error as? CocoaError)?.underlying ?? error
                    let reason = (cause as NSError).localizedFailureReason ?? "\(cause)"
                    throw InstanceError("\(path) cannot be written: \(reason)")
                }
                print("wrote \(path)")
            }
        }
        guard isUpToDate else { throw ExitCode.failure }
    }
}
