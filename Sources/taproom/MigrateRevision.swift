import ArgumentParser
import Migrations

extension Migrate {
    struct NewRevision: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "revision", abstract: "Create a new revision file.")

        @ParentCommand var migrate: Migrate
        @Option(
            name: [.customShort("m", allowingJoined: true), .long], help: "Message string to use with 'revision'.")
        var message: String
        @Option(help: "Specify a hardcoded revision id instead of generating one.") var revId: String?

        func run() throws {
            try migrate.reporting {
                let folder = try migrate.onlyFolder(of: try migrate.folders(), for: "revision")
                let path = try folder.migrations.addRevision(message: message, id: revId)
                print("Generating \(path) ...  done")
            }
        }
    }
}
