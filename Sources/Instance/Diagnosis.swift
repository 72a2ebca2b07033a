import Foundation
import Manifest
internal import Messaging
internal import Migrations
internal import Postgres
internal import Runtime
internal import Subscriptions

/// One thing that was looked at.
public struct Finding: Sendable, Equatable {
    public let subject: String
    /// What is wrong; `nil` when it is fine.
    public let problem: String?
    /// The command that mends it.
    public let remedy: String?
}

/// What keeps a check from being made; it has to be mended first.
private struct Obstacle: Error, CustomStringConvertible {
    let description: String
    let remedy: String
}

/// Everything an instance needs, looked at one by one; nothing is changed.
public struct Diagnosis {
    let project: Project
    let scope: String
    /// That of the instance, which need not be the one asked about.
    private let startedScope: String

    /// A relay publishes within a second.
    private static let secondsToPublish = 60.0

    private var up: String { project.upCommand(scope: startedScope) }
    private var mendManifest: String { "mend the lines of functions.yml named above" }
    private var mendBroker: String { "\(up); then taproom logs rabbitmq" }

    public init(project: Project, scope: String) {
        self.project = project
        self.scope = scope
        startedScope = project.startedScope ?? scope
    }

    public func run() -> [Finding] {
        [
            look("packages", remedy: "scripts/install-packages", packages),
            look("Swift toolchain", remedy: "install Swift 6.3 or later from swift.org", toolchain),
            look("functions.yml", remedy: mendManifest, manifest),
            look(
                "configuration of scope \(scope)",
                remedy: "mend the keys named above" + (scope == "local" ? ", or make up" : ""), configuration),
            look("state folder \(project.state)", remedy: "\(up), or another TAPROOM_STATE", stateFolder),
            look("gateway", remedy: up, gateway),
            look("functions", remedy: "\(up); then taproom logs", functions),
            look("RabbitMQ", remedy: mendBroker, broker),
            look("consumers", remedy: "\(up); then taproom logs", consumers),
            look("outboxes", remedy: "\(up); then taproom logs", outboxes),
            look("queues of former functions", remedy: "empty and delete them at the broker", formerQueues),
            look("migrations", remedy: "taproom migrate -x scope=\(startedScope) upgrade head", migrations),
            look("billing time zone", remedy: "mend billing.time_zone, then \(up)", timeZone),
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

    private func configuration() throws {
        let configuration = try project.configuration(scope: scope)
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
        guard FileManager.default.isWritableFile(atPath: project.state) else {
            throw InstanceError("you may not write into it: it belongs to the user who started the instance")
        }
    }

    private func gateway() throws {
        try recordIsReadable()
        guard let instance = try? Instance.started(project), instance.isRunning else {
            if let instance = try? Instance.started(project), !Orphans(placement: instance.placement).find().isEmpty {
                throw InstanceError("supervisord is gone, and what it ran still runs: up stops that and starts anew")
            }
            let port = try project.configuration(scope: scope).gatewayPort
            if let obstacle = Ports.obstacle(port) { throw InstanceError("the instance is down, and \(obstacle)") }
            throw InstanceError("the instance is down")
        }
        guard let answer = Gateway(port: instance.record.gatewayPort).get("/readyz") else {
            throw InstanceError("\(instance.record.gateway) does not answer")
        }
        guard answer.status == 200 else { throw InstanceError("GET /readyz answers \(answer.status): \(answer.body)") }
    }

    private func functions() throws {
        let stopped = try running().functions().filter { !$0.isInOrder }
        guard stopped.isEmpty else {
            throw InstanceError("not running: \(stopped.map(\.name).joined(separator: ", "))")
        }
    }

    private func broker() throws {
        let instance = try running()
        let missing = try counts(of: instance.manifest.topology.queues.map(\.name), instance)
            .filter { $0.value == nil }.keys.sorted()
        guard missing.isEmpty else { throw InstanceError("it lacks queues: \(missing.joined(separator: ", "))") }
        guard let reason = try BrokerQueues(instance: instance).blockedReason() else { return }
        throw Obstacle(
            description: "it takes no events at the moment: \(reason)",
            remedy: "free disk and memory on its machine; taproom logs rabbitmq says how much it wants")
    }

    /// A function may run and be refused by the broker all the time.
    private func consumers() throws {
        let instance = try running()
        let names = Set(try instance.functions().filter { $0.state == .running }.map(\.name))
        let consumed = instance.manifest.functions.filter { names.contains($0.name) }
            .compactMap { function in function.queue.map { (function: function.name, queue: $0.topology.queue) } }
        var idle = consumed
        // One that has just lost its session makes the next within seconds.
        let areBusy = try waitUntil(seconds: 5, every: 500) {
            let counts = try counts(of: idle.map(\.queue), instance)
            idle = idle.filter { counts[$0.queue]??.consumers == 0 }
            return idle.isEmpty
        }
        guard !areBusy else { return }
        throw Obstacle(
            description: "nobody takes events from "
                + idle.map { "\($0.queue), although \($0.function) runs" }.joined(separator: "; from "),
            remedy: idle.map { "taproom logs \($0.function)" }.joined(separator: "; "))
    }

    private func outboxes() throws {
        let instance = try running()
        let outboxes = instance.outboxes()
        for outbox in outboxes where outbox.waiting == nil {
            try readOutbox(of: outbox.service, instance)
            throw InstanceError("the events in the outbox of \(outbox.service) could not be counted in time")
        }
        let late = outboxes.filter { $0.oldestSeconds ?? 0 > Self.secondsToPublish }
        guard !late.isEmpty else { return }
        let relays = instance.manifest.functions.filter { function in
            late.contains { $0.service == function.outbox?.service }
        }
        throw Obstacle(
            description: "events wait to be published: "
                + late.map { "\($0.waiting ?? 0) of \($0.service), the oldest for \(Int($0.oldestSeconds ?? 0)) s" }
                .joined(separator: "; "),
            remedy: relays.map { "taproom logs \($0.name)" }.joined(separator: "; "))
    }

    /// Throws for one that nobody can read.
    private func readOutbox(of service: String, _ instance: Instance) throws {
        guard let url = instance.record.databases[service] else {
            throw InstanceError("\(service) has no database yet")
        }
        do {
            _ = try asking(service, instance) {
                let deadline = Deadline.after(milliseconds: 5000)
                return try Connection(url: url, application: "taproom doctor", deadline: deadline)
                    .execute("SELECT state, occurred_at FROM outbox LIMIT 0", deadline: deadline)
            }
        } catch let error as PostgresError {
            throw Obstacle(
                description: "the outbox of \(service) cannot be read: \(error)",
                remedy: "what migrations says, or \(up)")
        }
    }

    /// Nobody reads what comes into them any more; they may hold events, so nothing deletes them.
    private func formerQueues() throws {
        let instance = try running()
        let former = BrokerQueues(instance: instance).former()
        guard !former.isEmpty else { return }
        let left = try counts(of: former, instance).compactMap { name, counts in
            counts.map { "\(name) (\($0.messages) events)" }
        }
        guard left.isEmpty else {
            throw InstanceError("no function names them any more: \(left.sorted().joined(separator: ", "))")
        }
    }

    private func migrations() throws {
        let heads = try heads()
        let instance = try running()
        let schema = Schema(project: project, record: instance.record)
        let behind = try project.services.compactMap { service in
            switch try asking(service, instance, { try schema.place(of: service) }) {
            case .ready:
                let findings = try asking(service, instance) { try schema.findings(of: service) }
                guard findings.isEmpty else {
                    throw Obstacle(
                        description: findings.map { "\(service): \($0)" }.joined(separator: "\n"),
                        remedy: "what stands above; then taproom migrate -x scope=\(startedScope) check")
                }
                return String?.none
            case .behind(let current):
                return "\(service) is at \(current ?? "base"), head is \(heads[service] ?? "base")"
            case .ahead(let current):
                throw Obstacle(description: "\(service) \(Schema.ahead(current))", remedy: Schema.wayOut)
            case .unfit(let encoding):
                throw Obstacle(
                    description: "\(service): \(MigrationError.encoding(encoding))", remedy: Schema.wayOutOfEncoding)
            }
        }
        guard behind.isEmpty else { throw InstanceError(behind.joined(separator: "; ")) }
    }

    /// Nothing else can be done with files that are wrong.
    private func heads() throws -> [String: String] {
        do {
            return try Schema.heads(project)
        } catch {
            throw Obstacle(description: "\(error)", remedy: "mend the files named above")
        }
    }

    private func timeZone() throws {
        let instance = try running()
        try asking(Schema.reckoner, instance) {
            try Schema(project: project, record: instance.record).checkTimeZone()
        }
    }

    private func eligibility() throws {
        let instance = try running()
        guard let url = instance.record.databases["subscriptions"] else { return }
        let connection = try asking("subscriptions", instance) {
            // The server stops by itself when this process was killed.
            try Connection(
                url: url, application: "taproom doctor",
                options: ["statement_timeout": "\(Self.eligibilityMilliseconds)"],
                deadline: .after(milliseconds: 5000))
        }
        let (count, example) = try EligibilityUpkeep(connection).wrong(
            deadline: .after(milliseconds: Self.eligibilityMilliseconds))
        guard count == 0 else {
            throw InstanceError(
                "the intervals kept for \(count) subscriptions are not those of their history, such as \(example ?? "")"
            )
        }
    }

    /// How long the comparison of all intervals may take.
    private static let eligibilityMilliseconds = 300_000

    /// Without it nobody knows what runs, and nothing can be started.
    private func recordIsReadable() throws {
        do {
            _ = try InstanceRecord.load(state: project.state)
        } catch {
            throw Obstacle(description: "\(error)", remedy: "what stands above")
        }
    }

    private func running() throws -> Instance {
        try recordIsReadable()
        do {
            return try Instance.running(project)
        } catch {
            throw Obstacle(description: "\(error)", remedy: error is ManifestError ? mendManifest : up)
        }
    }

    private func counts(of queues: [String], _ instance: Instance) throws -> [String: QueueCounts?] {
        do {
            return try BrokerQueues(instance: instance).counts(queues)
        } catch {
            throw Obstacle(description: "\(error)", remedy: mendBroker)
        }
    }

    /// Runs `body`, which opens a session on the database of a service.
    private func asking<Answer>(_ service: String, _ instance: Instance, _ body: () throws -> Answer) throws -> Answer {
        do {
            return try body()
        } catch let error as PostgresError {
            guard case .unavailable = error else { throw error }
            let isEmbedded = instance.record.isEmbedded(service: service)
            throw Obstacle(
                description: "\(service): \(error)",
                remedy: isEmbedded ? "\(up); then taproom logs postgres" : "start the server of databases.\(service)")
        }
    }
}
