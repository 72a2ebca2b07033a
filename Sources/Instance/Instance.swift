import Foundation
public import Manifest
import Messaging

/// One running or stopped instance: what a state folder, a configuration and functions.yml make together.
public struct Instance: Sendable {
    public let record: InstanceRecord
    public let manifest: Manifest

    var placement: Placement { record.placement }
    var supervisor: Supervisor { Supervisor(placement: placement) }

    /// The instance that was started with the project's state folder.
    /// - Throws: `InstanceError` when none was; `ManifestError`.
    public static func started(_ project: Project) throws -> Instance {
        guard let record = try InstanceRecord.load(state: project.state) else {
            throw InstanceError(
                "nothing was started in \(project.state): run \(try project.upCommand(scope: project.scope(nil))) first"
            )
        }
        return Instance(record: record, manifest: try project.manifest())
    }

    /// The same, and it must be up.
    /// - Throws: `InstanceError` when it is down.
    public static func running(_ project: Project) throws -> Instance {
        let instance = try started(project)
        try project.refuseDown(instance.record)
        return instance
    }

    /// The same, and it must be up where the database of this service is its own.
    /// - Throws: `InstanceError` when it is down.
    public static func started(_ project: Project, withDatabaseOf service: String) throws -> Instance {
        let instance = try started(project)
        if instance.record.isEmbedded(service: service) { try project.refuseDown(instance.record) }
        return instance
    }

    /// The same, and it must be up where the broker is its own.
    /// - Throws: `InstanceError` when it is down.
    public static func startedWithBroker(_ project: Project) throws -> Instance {
        let instance = try started(project)
        if instance.record.brokerPort != nil { try project.refuseDown(instance.record) }
        return instance
    }

    /// The same, and its gateway must be up: else what answers at that port is another's.
    /// - Throws: `InstanceError` when it is not.
    public static func serving(_ project: Project) throws -> Instance {
        let instance = try running(project)
        let record = instance.record
        guard instance.supervisor.hasGateway(at: record.gatewayPort) else {
            throw InstanceError(
                "nginx of the instance in \(project.state) does not listen at \(record.gateway): run "
                    + "\(project.upCommand(scope: record.scope)) first")
        }
        return instance
    }

    /// Whether its supervisord runs.
    public var isRunning: Bool { supervisor.process != nil }

    /// Its processes; empty when it is down.
    public func processes() throws -> [SupervisedProcess] { isRunning ? try supervisor.status() : [] }

    /// - Throws: `InstanceError` that lists the names when this is none of them.
    func function(named name: String) throws -> FunctionEntry {
        guard let function = manifest.functions.first(where: { $0.name == name }) else {
            let names = manifest.functions.map(\.name).joined(separator: ", ")
            throw InstanceError("there is no function \(name); there are: \(names)")
        }
        return function
    }

    func cluster(_ accounts: Accounts) -> Cluster? {
        record.databasePort.map { Cluster(placement: placement, accounts: accounts, port: $0) }
    }

    func broker(_ accounts: Accounts, password: String) -> Broker? {
        record.brokerPort.map { Broker(placement: placement, account: accounts.broker, port: $0, password: password) }
    }

    func nginxProgram() throws -> Program {
        Program(
            name: "nginx",
            // Without -e, nginx first tries the log that its package was built with.
            command: [
                try Subprocess.find("nginx"), "-e", placement.logs + "/nginx.log", "-c",
                placement.nginxConfiguration, "-g", "daemon off;",
            ],
            stopSignal: "QUIT", priority: 900)
    }

    /// Where and as whom it runs, for rendering.
    func deployment(_ accounts: Accounts) -> Deployment {
        Deployment(
            gatewayPort: record.gatewayPort, socketFolder: placement.functionSockets,
            executableFolder: placement.executables, libraryFolder: placement.libraries, logFolder: placement.logs,
            temporaryFolder: placement.temporary, pidFolder: placement.run, documentsFolder: placement.documents,
            user: accounts.server?.name, group: accounts.server?.group, parameters: record.parameters)
    }

    /// One function as `status` shows it.
    public struct FunctionStatus: Codable, Sendable, Equatable {
        public let name: String
        /// What triggers it: `http`, `schedule`, `rabbitmq` or `outbox`.
        public let kind: String
        public let state: State
        /// How often it runs, as functions.yml says, such as `rate(5 minutes)`; absent without a schedule.
        public let schedule: String?
        /// The queue that it consumes; absent without one.
        public let queue: String?
        /// The service whose outbox it publishes; absent without one.
        public let outbox: String?
        /// Pids of its processes; never that of the one that only holds the socket.
        public let pids: [Int]

        public enum State: String, Codable, Sendable {
            case running
            /// It is in its first second.
            case starting
            case stopped
            /// functions.yml says that its schedule is.
            case disabled
        }

        /// Whether it does what functions.yml says.
        public var isInOrder: Bool { state == .running || state == .disabled }
    }

    /// Every function of the manifest, running or not.
    public func functions() throws -> [FunctionStatus] {
        let processes = try processes()
        return manifest.functions.map { function in
            let workers = processes.filter { $0.group == function.name && !$0.isHolder }
            let running = workers.filter(\.isRunning)
            let state: FunctionStatus.State =
                if function.schedule?.isEnabled == false {
                    .disabled
                } else if !running.isEmpty {
                    .running
                } else {
                    workers.contains(where: \.isStarting) ? .starting : .stopped
                }
            return FunctionStatus(
                name: function.name, kind: function.kind, state: state, schedule: function.schedule?.rate,
                queue: function.queue?.topology.queue, outbox: function.outbox?.service, pids: running.compactMap(\.pid)
            )
        }
    }
}
