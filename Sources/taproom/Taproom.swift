import ArgumentParser
import Foundation
import Instance
import Runtime

@main
struct Taproom: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "taproom",
        abstract: "Runs the beer-club shop: functions behind nginx, kept by supervisord, on PostgreSQL.",
        discussion: """
            TAPROOM_STATE (default var), TAPROOM_PORT (default 8080), TAPROOM_SCOPE (default local) and TAPROOM_CONFIG \
            choose the instance; every key of the configuration has a TAPROOM_ variable too.
            """,
        subcommands: [
            Up.self, Down.self, Status.self, Logs.self, Routes.self, Invoke.self, Migrate.self, Render.self, Demo.self,
            Charges.self, ChargeRunCommand.self, Doctor.self, RebuildEligibility.self, CustomersCommand.self, DLQ.self,
            Queues.self, Restart.self, CleanState.self,
        ])

    /// Runs the command. What it printed and could not be written, as to a full disk, makes it fail.
    static func main() {
        ToolProcess.prepare()
        main(nil)
        do { try flushStandardOutput() } catch { exit(withError: error) }
    }
}

/// Which scope's configuration a command reads that works with an instance.
struct ScopeOption: ParsableArguments {
    @Option(help: "Whose <scope>_config.json to read. (default: TAPROOM_SCOPE, else the instance's, else local)")
    var scope: String?
}
