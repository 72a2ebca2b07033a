import ArgumentParser
import Foundation
import Instance
import Manifest

struct Up: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Starts everything in the background and waits until it answers; harmless when it runs already.")

    @OptionGroup var options: ScopeOption

    func run() throws {
        let project = try Project.find()
        let scope = try project.scope(options.scope)
        // Only who names a scope changes it: another one has other databases and another platform.
        if let known = project.startedScope, try project.scope(options.scope, else: known) != scope {
            throw InstanceError(
                "the instance in \(project.state) has scope \(known): taproom up --scope \(known) goes on with it, "
                    + "taproom up --scope \(scope) changes it to \(scope)")
        }
        let progress = Progress()
        progress.say("Taproom in \(project.state), scope \(scope)")
        let instance = try Startup(project: project, scope: scope, progress: progress).run()
        print(Banner(instance: instance, project: project).text)
    }
}

/// What to know about an instance that has just come up.
struct Banner {
    let instance: Instance
    let project: Project

    private var tables: [String] {
        let manifest = instance.manifest
        return [
            manifest.routesTable(base: instance.record.gateway), manifest.schedulesTable(), manifest.queuesTable(),
            manifest.outboxesTable(),
        ].filter { !$0.isEmpty }
    }

    var text: String {
        let record = instance.record
        let hasPage = FileManager.default.fileExists(atPath: record.placement.documentPage)
        let tool = CommandLine.arguments[0]
        let databases = record.databases.sorted { $0.key < $1.key }
            .map { "  \($0.key.padding(toLength: 16, withPad: " ", startingAt: 0))\(withoutPassword($0.value))" }
        return """

            \(tables.joined(separator: "\n"))
            Gateway    \(record.gateway), described at \(record.gateway)\(hasPage ? "/docs/ and " : "")/openapi.yml
            Databases  (with passwords: \(tool) status --json)
            \(databases.joined(separator: "\n"))
            RabbitMQ   \(record.rabbitmq.map(withoutPassword) ?? "")
            Logs       \(record.placement.logs)
            Next       \(tool) demo | status | logs -f | doctor, and make down
            """
    }

    private func withoutPassword(_ url: String) -> String {
        guard var parts = URLComponents(string: url) else { return "(\(url.prefix { $0 != ":" }) URI)" }
        parts.password = nil
        // libpq takes them there too.
        parts.queryItems = parts.queryItems?.filter { !["password", "sslpassword"].contains($0.name) }
        if parts.queryItems?.isEmpty == true { parts.queryItems = nil }
        return parts.string ?? ""
    }
}

struct Restart: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Replaces workers one by one; requests wait meanwhile and none is lost.")

    @Argument(help: "The function; all when it is left out.")
    var function: String?

    func run() throws {
        let project = try Project.find()
        let progress = Progress()
        _ = try Instance.running(project)
        let lock = try StateLock(state: project.state) {
            progress.say("  another taproom works on \(project.state): waiting for it to finish")
        }
        defer { _ = lock }
        // Whoever had the lock may have stopped it.
        let instance = try Instance.running(project)
        let title = function.map { "Restarting \($0)" } ?? "Restarting all functions"
        try progress.step(title) { try RollingRestart(instance: instance).run(function: function) }
    }
}
