import Foundation
import Glibc
import Manifest

/// Brings an instance up, or brings a running one up to date. Every step finds out by itself what is there already,
/// so that a start that was cut short is continued by the next.
public struct Startup {
    let project: Project
    let scope: String
    /// Whether servers of our own may take the place of those outside that it was started with.
    let forgetsOutside: Bool
    let progress: Progress

    public init(project: Project, scope: String, forgetsOutside: Bool, progress: Progress) {
        self.project = project
        self.scope = scope
        self.forgetsOutside = forgetsOutside
        self.progress = progress
    }

    /// Starts everything and waits until `/readyz` answers 200.
    /// - Throws: what stands in the way, with the fix; what was started stays up for a look.
    public func run() throws -> Instance {
        let manifest = try project.checkedManifest()
        for warning in manifest.warnings { progress.say("  warning: \(warning)") }
        let configuration = try readConfiguration()
        let accounts = try Accounts.current()
        let lock = try lockState(accounts)
        defer { _ = lock }
        let instance = try prepare(manifest, configuration, accounts)
        let queues = BrokerQueues(instance: instance)
        let schema = Schema(project: project, record: instance.record)
        let executables = Set(manifest.functions.map(\.executable)).sorted()
        let binaries = Binaries(
            source: project.executables, target: instance.placement.executables,
            missingTargets: project.missingTargets(of: manifest))
        // A release that is not whole, or that its database or broker is not ready for, must leave the one that runs as
        // it is.
        _ = try manifest.supervisordConfiguration(instance.deployment(accounts))
        try schema.checkOutside()
        try binaries.checkBuilt(executables)
        // An embedded broker may be down, or know another login yet.
        var isDeclared = try !configuration.hasEmbeddedBroker || queues.isReachable()
        if isDeclared { try progress.step("Declaring queues") { try queues.declare() } }
        try schema.upgradeEarly(progress)
        let embedded = Embedded(instance, configuration, accounts)
        try progress.step("Installing the executables") { try install(binaries, executables, accounts) }
        try Documents(project: project.root, target: instance.placement.documents).install(progress)
        if instance.supervisor.isOutOfReach {
            _ = try Shutdown(project: project, progress: progress).stop(instance.placement)
            // Its broker has stopped with it.
            isDeclared = !configuration.hasEmbeddedBroker
        }
        try embedded.prepare(progress)
        // What works with the broker starts when its queues are there: a relay would find nobody who wants its events.
        // Those that run with this broker go on, and wait for it by themselves when it is away.
        let goesOn = try worksWithThisBroker(instance)
        try progress.step("Starting nginx and the functions") {
            try startPrograms(instance, accounts, embedded, withoutBroker: !isDeclared && !goesOn)
        }
        try embedded.waitForDatabases(progress)
        try schema.upgrade(progress)
        if !isDeclared {
            try embedded.waitForBroker(progress)
            try progress.step("Declaring queues") { try queues.declare() }
            if manifest.functions.contains(where: \.usesBroker) {
                try progress.step("Starting consumers and relays") {
                    try startPrograms(instance, accounts, embedded, withoutBroker: false)
                }
            }
        }
        try RollingRestart(instance: instance).replaceOutdated(progress)
        try progress.step("Waiting for \(instance.record.gateway)/readyz") { try Readiness(instance: instance).wait() }
        try queues.unbindFormer(progress)
        return instance
    }

    /// The scope's configuration. A local one is written when it is missing, and completed with what newer code wants.
    private func readConfiguration() throws -> Configuration {
        if scope == "local" {
            let file = project.configurationFile(scope: scope)
            if try ConfigurationFile.writeIfMissing(file, model: project.modelConfiguration) {
                progress.say("  wrote \(file) with random secrets")
            }
            let added = try ConfigurationFile.addMissing(file, services: project.services)
            if !added.isEmpty { progress.say("  added to \(file): \(added.joined(separator: ", "))") }
        }
        return try project.configuration(scope: scope)
    }

    /// Makes the state folder and keeps others away from it; makes it again when it was removed while this waited.
    private func lockState(_ accounts: Accounts) throws -> StateLock {
        while true {
            let state = try Placement.makeState(project.state, accounts: accounts)
            if let lock = try StateLock(state: state, progress: progress) { return lock }
        }
    }

    /// Decides on folders and ports. What it decides is remembered once that is what runs.
    private func prepare(
        _ manifest: Manifest, _ configuration: Configuration, _ accounts: Accounts
    ) throws -> Instance {
        let state = project.state
        let known = try InstanceRecord.read(state: state)
        let isMoved = known.map { $0.state != state && $0.dataElsewhere == nil } ?? false
        if let known, !isMoved, !known.isMade(in: state) { throw known.refusal(in: state) }
        if let known, known.scope == scope, !forgetsOutside {
            try known.refuseForgetting(configuration, environment: project.environment)
        }
        let placement = Placement.current(
            state: state, accounts: accounts,
            sockets: manifest.functions.map { $0.name + ".sock" } + project.services.map { $0 + ".signal" },
            environment: project.environment, known: known)
        try placement.check(hasEmbeddedDatabase: configuration.hasEmbeddedDatabase)
        if let known, isMoved {
            try Relocation(record: known, state: state).run()
        } else if let known, known.placement != placement, Supervisor(placement: known.placement).process != nil {
            throw InstanceError(
                "the folders above \(state) changed since the start: run make down, then \(known.upCommand)")
        }
        try placement.makeFolders(accounts)
        try placement.makeLogs(manifest.functions.map(\.name), owner: accounts.server)
        try placement.makeLogs(["nginx", "access", "supervisord"], owner: nil)
        try placement.makeSignals(project.services, owner: accounts.server)
        if configuration.hasEmbeddedDatabase { try placement.makeLogs(["postgres"], owner: accounts.database) }
        if configuration.hasEmbeddedBroker { try placement.makeLogs([Broker.program], owner: accounts.broker) }
        if try Supervisor(placement: placement).isEnding() {
            _ = try Shutdown(project: project, progress: progress).stop(placement)
        }
        let supervisor = Supervisor(placement: placement).process
        try Orphans(placement: placement).stop(under: supervisor, finishingWithin: project.secondsToFinish)
        let ports = try choosePorts(configuration, known, placement)
        let record = try InstanceRecord(
            placement: placement, scope: scope, configuration: configuration, databasePort: ports.database,
            brokerPort: ports.broker, migrationHeads: Schema.heads(project))
        for change in known.map(record.changes(since:)) ?? [] { progress.say("  \(change)") }
        return Instance(record: record, manifest: manifest)
    }

    /// Those of the servers that are embedded; what an earlier start chose stays.
    /// - Throws: `InstanceError` when the gateway's port is taken, or none is free.
    private func choosePorts(
        _ configuration: Configuration, _ known: InstanceRecord?, _ placement: Placement
    ) throws -> (database: Int?, broker: Int?) {
        let supervisor = Supervisor(placement: placement)
        if let obstacle = Ports.obstacle(configuration.gatewayPort),
            !supervisor.hasGateway(at: configuration.gatewayPort)
        {
            throw InstanceError(
                "\(obstacle), for example TAPROOM_PORT=\(max(configuration.gatewayPort + 1, 8081)) "
                    + project.upCommand(scope: scope))
        }
        let isRunning = supervisor.process != nil
        func port(_ known: Int?, _ program: String, above distance: Int, taken: [Int]) throws -> Int {
            if let known, isRunning || Ports.isFree(known) && known != configuration.gatewayPort { return known }
            return try Ports.pick(for: program, above: distance, gateway: configuration.gatewayPort, taken: taken)
        }
        let databasePort =
            try configuration.hasEmbeddedDatabase
            ? port(known?.databasePort, "PostgreSQL", above: 1000, taken: [known?.brokerPort].compactMap { $0 }) : nil
        let brokerPort =
            try configuration.hasEmbeddedBroker
            ? port(known?.brokerPort, "RabbitMQ", above: 1500, taken: [databasePort].compactMap { $0 }) : nil
        return (databasePort, brokerPort)
    }

    private func install(_ binaries: Binaries, _ names: [String], _ accounts: Accounts) throws {
        try binaries.install(names)
        if let first = names.first { try binaries.checkLoads(first, as: accounts.server) }
    }

    /// Whether consumers and relays run, and all of them with the broker that the record names now. The record says so
    /// too early: a start may have been cut short after writing it.
    private func worksWithThisBroker(_ instance: Instance) throws -> Bool {
        let names = Set(instance.manifest.functions.filter(\.usesBroker).map(\.name))
        let running = try instance.processes().filter { names.contains($0.group) }
            .compactMap { $0.pid.flatMap { RunningProcess(pid: pid_t($0)) } }
        return !running.isEmpty && running.allSatisfy { $0.environment("AMQP_URL") == instance.record.rabbitmq }
    }

    /// Renders what supervisord and nginx read, then starts them or makes them take it over.
    private func startPrograms(
        _ instance: Instance, _ accounts: Accounts, _ embedded: Embedded, withoutBroker: Bool
    ) throws {
        let placement = instance.placement
        let deployment = instance.deployment(accounts)
        let gateway = Data(instance.manifest.nginxConfiguration(deployment).utf8)
        let supervision = try instance.manifest.supervisordConfiguration(
            deployment, extraPrograms: [instance.nginxProgram()] + embedded.programs(), withoutBroker: withoutBroker)
        let candidate = placement.nginxConfiguration + ".new.\(getpid())"
        try writeFile(candidate, gateway, mode: 0o600)
        defer { unlink(candidate) }
        try Subprocess.check([
            try Subprocess.find("nginx"), "-t", "-q", "-e", placement.logs + "/nginx.log", "-c", candidate,
        ])
        // Not before all is there that a start needs: other commands work with what it names.
        try instance.record.save()
        try writeFile(placement.supervisorConfiguration, Data(supervision.utf8), mode: 0o600)
        guard instance.isRunning else {
            try writeFile(placement.nginxConfiguration, gateway, mode: 0o600)
            try writeFile(placement.nginxRead, gateway, mode: 0o600)
            return try instance.supervisor.start()
        }
        try instance.supervisor.update()
        let processes = try instance.supervisor.status()
        try tell(nginx: processes.first { $0.group == "nginx" }?.pid, gateway, placement)
        let unreachable = instance.supervisor.unreachable(processes)
        try instance.supervisor.restart(processes.filter { $0.isIdle || unreachable.contains($0.group) })
    }

    /// Has nginx read its configuration unless it has: with each reading it breaks off what still runs half a minute later.
    private func tell(nginx pid: Int?, _ gateway: Data, _ placement: Placement) throws {
        let isRead = [placement.nginxConfiguration, placement.nginxRead].allSatisfy {
            FileManager.default.contents(atPath: $0) == gateway
        }
        if isRead { return }
        // So that the next start tells it when this one is cut short.
        unlink(placement.nginxRead)
        try writeFile(placement.nginxConfiguration, gateway, mode: 0o600)
        guard let pid else { return }
        kill(pid_t(pid), SIGHUP)
        try writeFile(placement.nginxRead, gateway, mode: 0o600)
    }
}
