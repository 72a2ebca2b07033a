import Foundation
import Manifest

/// One thing that was looked at.
public struct Finding: Sendable, Equatable {
    public let subject: String
    /// What is wrong; `nil` when it is fine.
    public let problem: String?
    /// The command that fixes it.
    public let remedy: String?
}

/// Everything an instance needs, looked at one by one; nothing is changed.
public struct Diagnosis {
    /// What keeps a check from being made; it has to be fixed first.
    struct Obstacle: Error, CustomStringConvertible {
        let description: String
        let remedy: String
    }

    let project: Project
    let scope: String
    /// That of the instance, which need not be the one asked about.
    let startedScope: String

    var up: String { project.upCommand(scope: startedScope) }
    private var fixManifest: String { "fix the lines of functions.yml named above" }
    var fixBroker: String { "\(up); then taproom logs rabbitmq" }

    public init(project: Project, scope: String) {
        self.project = project
        self.scope = scope
        startedScope = project.startedScope ?? scope
    }

    public func run() -> [Finding] {
        [
            look("packages", remedy: "scripts/install-packages", packages),
            look("Swift toolchain", remedy: "install Swift 6.3 or later from swift.org", toolchain),
            look("functions.yml", remedy: fixManifest, manifest),
            look(
                "configuration of scope \(scope)",
                remedy: "fix the keys named above" + (scope == "local" ? ", or make up" : ""), configuration),
            look("state folder \(project.state)", remedy: "\(up), or another TAPROOM_STATE", stateFolder),
            look("gateway", remedy: up, gateway),
            look("functions", remedy: "\(up); then taproom logs", functions),
            look("RabbitMQ", remedy: fixBroker, broker),
            look("consumers", remedy: "\(up); then taproom logs", consumers),
            look("outboxes", remedy: "\(up); then taproom logs", outboxes),
            look("queues of former functions", remedy: fixBroker, formerQueues),
            look("migrations", remedy: "taproom migrate -x scope=\(startedScope) upgrade head", migrations),
            look("billing time zone", remedy: "fix billing.time_zone, then \(up)", timeZone),
            look("eligibility", remedy: "taproom rebuild-eligibility --scope \(startedScope)", eligibility),
        ]
    }

    private func look(_ subject: String, remedy: String, _ check: () throws -> Void) -> Finding {
        do {
            try check()
            return Finding(subject: subject, problem: nil, remedy: nil)
        } catch {
            return Finding(subject: subject, problem: "\(error)", remedy: (error as? Obstacle)?.remedy ?? remedy)
        }
    }

    private func packages() throws {
        let result = try Subprocess.run([project.root + "/scripts/install-packages", "--check"])
        guard result.status == 0 else {
            throw InstanceError((result.output + result.errors).trimmingCharacters(in: .whitespacesAndNewlines))
        }
    }

    private func toolchain() throws {
        let path = project.environment["PATH"] ?? Subprocess.searchPath
        let result = try Subprocess.run(["/usr/bin/env", "swift", "--version"], environment: ["PATH": path])
        guard let match = (result.output + result.errors).firstMatch(of: /Swift version ([0-9]+)\.([0-9]+)/),
            let major = Int(match.1), let minor = Int(match.2)
        else { throw InstanceError("swift is not in PATH") }
        guard (major, minor) >= (6, 3) else { throw InstanceError("Swift \(major).\(minor) is too old") }
    }

    /// What is ignored is wrong, too: whoever wrote it wanted something.
    private func manifest() throws {
        let warnings = try project.checkedManifest().warnings
        guard warnings.isEmpty else { throw InstanceError(warnings.joined(separator: "\n")) }
    }

    /// That of the scope; for the instance's own the file that it was started with.
    private func readConfiguration() throws -> Configuration {
        let started = try? project.startedRecord(scope: scope)
        return try project.configuration(scope: scope, file: started?.configurationFile)
    }

    private func configuration() throws {
        let configuration = try readConfiguration()
        let attributes = try FileManager.default.attributesOfItem(atPath: configuration.file)
        let mode = (attributes[.posixPermissions] as? NSNumber)?.intValue ?? 0
        guard mode & 0o077 == 0 else {
            throw Obstacle(
                description: "\(configuration.file) holds secrets and others may read it",
                remedy: "chmod 600 \(configuration.file)")
        }
    }

    private func stateFolder() throws {
        guard FileManager.default.fileExists(atPath: project.state) else {
            throw InstanceError("does not exist: nothing was started yet")
        }
        try Placement.refuseOtherUser(project.state)
        guard FileManager.default.isWritableFile(atPath: project.state) else {
            throw InstanceError("you may not write into it: it belongs to the user who started the instance")
        }
    }

    private func gateway() throws {
        try recordIsReadable()
        let started = try? Instance.started(project)
        guard let instance = started, instance.isRunning else {
            if let started, !Orphans(placement: started.placement).find().isEmpty {
                throw InstanceError("supervisord is gone, and what it ran still runs: up stops that and starts anew")
            }
            let port = try readConfiguration().gatewayPort
            if let obstacle = Ports.obstacle(port) {
                throw Obstacle(
                    description: "the instance is down, and \(obstacle)", remedy: "what stands above, then \(up)")
            }
            throw InstanceError("the instance is down")
        }
        guard let answer = Gateway(port: instance.record.gatewayPort).get("/readyz") else {
            throw InstanceError("\(instance.record.gateway) does not answer")
        }
        guard answer.status == 200 else { throw InstanceError("GET /readyz answers \(answer.status): \(answer.body)") }
    }

    private func functions() throws {
        let instance = try running()
        let stopped = try instance.functions().filter { !$0.isInOrder }
        guard stopped.isEmpty else {
            throw InstanceError("not running: \(stopped.map(\.name).joined(separator: ", "))")
        }
        let unreachable = try instance.supervisor.unreachable(instance.processes())
        guard unreachable.isEmpty else {
            throw InstanceError("out of the gateway's reach: \(unreachable.joined(separator: ", "))")
        }
    }

    /// Without it nobody knows what runs, and nothing can be started.
    private func recordIsReadable() throws {
        do {
            _ = try InstanceRecord.load(state: project.state)
        } catch {
            throw Obstacle(description: "\(error)", remedy: "what stands above")
        }
    }

    func running() throws -> Instance {
        try recordIsReadable()
        do {
            return try Instance.running(project)
        } catch {
            throw Obstacle(description: "\(error)", remedy: error is ManifestError ? fixManifest : up)
        }
    }
}
