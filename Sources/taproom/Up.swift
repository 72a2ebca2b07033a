import ArgumentParser
import Instance

struct Up: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Starts everything in the background and waits until it answers; harmless when it runs already.")

    @Option(help: "Whose <scope>_config.json to read. (default: TAPROOM_SCOPE, else local)")
    var scope: String?

    @Flag(
        help: ArgumentHelp(
            "Goes on where the configuration no longer names a platform, database or broker outside that the instance "
                + "works with, and starts one of its own in its place, or where ecommerce.resend is manual no more."))
    var forgetOutside = false

    func run() throws {
        let project = try Project.find()
        let scope = try project.scope(scope)
        // Only who names a scope changes it: another one has other databases and another platform.
        if let known = project.startedScope, try project.scope(self.scope, else: known) != scope {
            throw InstanceError(
                "the instance in \(project.state) has scope \(known): taproom up --scope \(known) goes on with it, "
                    + "taproom up --scope \(scope) changes it to \(scope)")
        }
        let progress = Progress()
        progress.say("Taproom in \(project.state), scope \(scope)")
        let startup = Startup(project: project, scope: scope, forgetsOutside: forgetOutside, progress: progress)
        let instance = try startup.run()
        print(Banner(instance: instance).text)
    }
}
