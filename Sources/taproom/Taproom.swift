import ArgumentParser

@main
struct Taproom: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "taproom", abstract: "Runs and looks after Taproom.", subcommands: [Migrate.self])
}
