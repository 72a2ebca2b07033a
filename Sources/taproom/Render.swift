import ArgumentParser
import Foundation
import Instance
import Manifest

struct Render: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Writes nginx.conf at the top of the project from functions.yml.")

    @Flag(help: "Write nothing; exit 1 when the file differs from what would be written.")
    var check = false

    func run() throws {
        let project = try Project.find()
        let manifest = try project.manifest()
        for warning in manifest.warnings { FileHandle.standardError.write(Data("warning: \(warning)\n".utf8)) }
        let path = project.root + "/nginx.conf"
        let text = manifest.nginxConfiguration(.host)
        guard let drift = Manifest.drift(of: text, fileAt: path) else { return print("\(path) is up to date") }
        if check {
            FileHandle.standardError.write(Data("\(drift)\nrun: taproom render\n".utf8))
            throw ExitCode.failure
        }
        try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        print("wrote \(path)")
    }
}
