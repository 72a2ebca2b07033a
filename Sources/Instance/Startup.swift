import Foundation
import Glibc
internal import Manifest

/// Brings an instance up, or brings a running one up to date. Every step finds out by itself what is there already,
/// so that a start that was cut short is continued by the next.
public struct Startup {
    let project: Project
    let scope: String
    let progress: Progress

    public init(project: Project, scope: String, progress: Progress) {
        self.project = project
        self.scope = scope
        self.progress = progress
    }

    /// Starts everything and waits until `/readyz` answers 200.
    /// - Throws: what stands in the way, with the fix; what was started stays up for a look.
    public func run() throws -> Instance {
        let manifest = try project.manifest()
        for warning in manifest.warnings { progress.say("  warning: \(warning)") }
        let file = project.configurationFile(scope: scope)
        if scope == "local", try ConfigurationFile.writeIfMissing(file, model: project.modelConfiguration) {
            progress.say("  wrote \(file) with random secrets")
        }
        let configuration = try project.configuration(scope: scope)
        let accounts = try Accounts.current()
        let state = try Placement.makeState(project.state, accounts: accounts)
        let lock = try StateLock(state: state) {
            progress.say("  another taproom works on \(state): waiting for it to finish")
        }
        defer { _ = lock }
        let instance = try prepare(manifest, configuration, state, accounts)
        let cluster = configuration.isEmbedded ? instance.cluster(accounts) : nil
        try progress.step("Installing the executables") { try installBinaries(instance, accounts) }
        try Documents(project: project.root, target: instance.placement.documents).install(progress)
        if let cluster { try progress.step("Preparing PostgreSQL") { try cluster.initialise() } }
        try progress.step("Starting nginx and the functions") { try startPrograms(instance, accounts, cluster) }
        if let cluster { try startDatabases(instance, cluster, configuration) }
        try Schema(project: project, record: instance.record).upgrade(progress)
        try RollingRestart(instance: instance).replaceOutdated(progress)
        try progress.step("Waiting for \(instance.record.gateway)/readyz") { try Readiness(instance: instance).wait() }
        return instance
    }

    /// Decides on folders and ports, and remembers them before anything starts.
    private func prepare(
        _ manifest: Manifest, _ configuration: Configuration, _ state: String, _ accounts: Accounts
    ) throws -> Instance {
        let known = try InstanceRecord.load(state: state)
        let placement = Placement.current(
            state: state, accounts: accounts, functions: manifest.functions.map(\.name),
            environment: project.environment, known: known)
        if let known, known.placement != placement, Supervisor(placement: known.placement).process != nil {
            throw InstanceError("the folders above \(state) changed since the start: run make down, then make up")
        }
        try placement.makeFolders(accounts)
        try placement.makeLogs(manifest.functions.map(\.name), owner: accounts.server)
        if configuration.isEmbedded { try placement.makeLogs(["postgres"], owner: accounts.database) }
        let isRunning = Supervisor(placement: placement).process != nil
        if !isRunning { try Orphans(placement: placement).stop() }
        let isOurs = isRunning && known?.gatewayPort == configuration.gatewayPort
        if !isOurs, let obstacle = Ports.obstacle(configuration.gatewayPort) {
            throw InstanceError(
                "\(obstacle), for example TAPROOM_PORT=\(max(configuration.gatewayPort + 1, 8081)) make up")
        }
        let record = try InstanceRecord(
            placement: placement, scope: scope, configuration: configuration,
            databasePort: configuration.isEmbedded
                ? databasePort(known, isRunning: isRunning, gateway: configuration.gatewayPort) : nil,
            migrationHeads: Schema.heads(project))
        try record.save()
        return Instance(record: record, manifest: manifest)
    }

    private func databasePort(_ known: InstanceRecord?, isRunning: Bool, gateway: Int) throws -> Int {
        if let port = known?.databasePort, isRunning || Ports.isFree(port) && port != gateway { return port }
        return try Ports.pick(besides: gateway)
    }

    private func installBinaries(_ instance: Instance, _ accounts: Accounts) throws {
        let binaries = Binaries(source: project.executables, target: instance.placement.executables)
        let names = Set(instance.manifest.functions.map(\.executable)).sorted()
        try binaries.install(names)
        if let first = names.first { try binaries.checkLoads(first, as: accounts.server) }
    }

    /// Renders what supervisord and nginx read, then starts them or makes them take it over.
    private func startPrograms(_ instance: Instance, _ accounts: Accounts, _ cluster: Cluster?) throws {
        let placement = instance.placement
        let deployment = instance.deployment(accounts)
        let gatewayChanged = try writeFile(
            placement.nginxConfiguration, Data(instance.manifest.nginxConfiguration(deployment).utf8), mode: 0o600)
        let programs = try [instance.nginxProgram()] + (cluster.map { [try $0.program()] } ?? [])
        try writeFile(
            placement.supervisorConfiguration,
            Data(try instance.manifest.supervisordConfiguration(deployment, extraPrograms: programs).utf8),
            mode: 0o600)
        _ = try Subprocess.check([
            try Subprocess.find("nginx"), "-t", "-q", "-e", placement.logs + "/nginx.log", "-c",
            placement.nginxConfiguration,
        ])
        guard instance.isRunning else { return try instance.supervisor.start() }
        let before = try instance.supervisor.status().first { $0.group == "nginx" }
        try instance.supervisor.update()
        let after = try instance.supervisor.status().first { $0.group == "nginx" }
        if gatewayChanged, let pid = after?.pid, pid == before?.pid { kill(pid_t(pid), SIGHUP) }
    }

    private func startDatabases(_ instance: Instance, _ cluster: Cluster, _ configuration: Configuration) throws {
        let passwords = configuration.databases.compactMapValues { source in
            if case .embedded(let password) = source { password } else { nil }
        }
        let databases = ServiceDatabases(cluster: cluster, passwords: passwords)
        try progress.step("Waiting for PostgreSQL") {
            guard try waitUntil(seconds: 60, condition: { try databases.isReachable() }) else {
                throw try Readiness(instance: instance).failure("PostgreSQL does not answer", suspects: ["postgres"])
            }
        }
        try progress.step("Making roles and databases") { try databases.create() }
    }
}
