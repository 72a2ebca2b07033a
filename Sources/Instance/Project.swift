import Foundation
import Glibc
public import Manifest
import Migrations

/// A checkout: the folder that holds functions.yml, migrations/ and model_config.json.
public struct Project: Sendable {
    public let root: String
    /// The folder of the executables that were built together with this one.
    let executables: String
    let environment: [String: String]

    /// Services that have a database: the folders under `migrations/`, in order.
    let services: [String]

    var functionsFile: String { root + "/functions.yml" }
    var migrations: String { root + "/migrations" }
    var modelConfiguration: String { root + "/model_config.json" }

    /// Looks for functions.yml in the working folder and above it, then above the executable.
    /// - Throws: `InstanceError` when there is none, or the working folder is in another user's checkout: its scripts are
    ///   run. One's own, root's, and the checkout of the executable, which runs anyway, are taken.
    public static func find() throws -> Project {
        let executable = Placement.resolve("/proc/self/exe")
        let above = checkout(above: executable)
        guard let root = checkout(above: FileManager.default.currentDirectoryPath) ?? above else {
            throw InstanceError("no functions.yml here or in a folder above: run this inside the project")
        }
        if above.map(Placement.resolve) != Placement.resolve(root) { try refuseOtherUser(root) }
        return try Project(
            root: root, executables: (executable as NSString).deletingLastPathComponent,
            environment: ProcessInfo.processInfo.environment)
    }

    private static func checkout(above start: String) -> String? {
        var folder = URL(fileURLWithPath: start)
        while folder.path != "/" {
            if FileManager.default.fileExists(atPath: folder.path + "/functions.yml") { return folder.path }
            folder.deleteLastPathComponent()
        }
        return nil
    }

    /// - Parameter root: a checkout that nobody chose but by being in it.
    static func refuseOtherUser(_ root: String) throws {
        for path in [root, root + "/functions.yml"] {
            guard let owner = Ownership.owner(of: path), ![0, geteuid()].contains(owner) else { continue }
            let name = Ownership.name(of: owner)
            throw InstanceError(
                "\(path) belongs to \(name), who decides what a command in that checkout runs: be that user, go to a "
                    + "folder outside of it, or build there and run its own ./taproom")
        }
    }

    /// - Throws: `MigrationError` when the folder of the migrations is there and cannot be read.
    init(root: String, executables: String, environment: [String: String]) throws {
        self.root = root
        self.executables = executables
        self.environment = environment
        let migrations = root + "/migrations"
        // What only draws up a gateway needs no database.
        let hasDatabases = FileManager.default.fileExists(atPath: migrations)
        services = hasDatabases ? try MigrationFolder.services(in: migrations) : []
    }

    /// - Throws: `ManifestError` with everything that is wrong with functions.yml.
    public func manifest() throws -> Manifest { try Manifest.load(from: functionsFile) }

    /// The same, and everything that it names must be in this checkout.
    public func checkedManifest() throws -> Manifest {
        let manifest = try manifest()
        try manifest.checkNames(
            services: services, parameters: InstanceRecord.parameterNames(services: services), handlers: handlers)
        return manifest
    }

    /// The folders of functions, as `Service/Function`; `nil` without sources.
    private var handlers: [String]? {
        let (files, folder) = (FileManager.default, root + "/Sources/Functions")
        return (try? files.contentsOfDirectory(atPath: folder))?.sorted().flatMap { service in
            ((try? files.contentsOfDirectory(atPath: "\(folder)/\(service)")) ?? []).sorted().map { "\(service)/\($0)" }
        }
    }

    /// Executable to the line that Package.swift's list of functions lacks for it.
    func missingTargets(of manifest: Manifest) -> [String: String] {
        guard let data = FileManager.default.contents(atPath: root + "/Package.swift") else { return [:] }
        let package = String(decoding: data, as: UTF8.self)
        let missing = manifest.functions.filter { !package.contains("\"\($0.handler)\"") }
        return Dictionary(missing.map { ($0.executable, "(\"\($0.handler)\", [])") }) { first, _ in first }
    }

    /// The state folder: TAPROOM_STATE, else `var` in the project. It need not exist.
    public var state: String { Placement.resolve(namedState) }

    /// Whether somebody has put the state folder elsewhere and a link in its place.
    var isStateLinked: Bool {
        let path = URL(fileURLWithPath: namedState).standardizedFileURL.path
        return (try? FileManager.default.destinationOfSymbolicLink(atPath: path)) != nil
    }

    private var namedState: String { environment["TAPROOM_STATE"].flatMap { $0.isEmpty ? nil : $0 } ?? root + "/var" }

    /// The scope to run: what was asked for, else TAPROOM_SCOPE, else `standard`.
    /// - Throws: `InstanceError` for a name that cannot be part of a file name.
    public func scope(_ asked: String?, else standard: String = "local") throws -> String {
        let scope = asked ?? environment["TAPROOM_SCOPE"].flatMap { $0.isEmpty ? nil : $0 } ?? standard
        guard !scope.isEmpty, scope.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "_-".contains($0)) })
        else {
            throw InstanceError(
                "the scope “\(scope)” (--scope, -x scope= or TAPROOM_SCOPE) must consist of letters, digits, _ and -")
        }
        return scope
    }

    /// The scope that the instance in the state folder was started with; `nil` when its record is absent or unreadable.
    public var startedScope: String? { (try? InstanceRecord.read(state: state))?.scope }

    /// The command that starts an instance of a scope, whatever TAPROOM_SCOPE says here.
    public func upCommand(scope: String) -> String {
        let isStandard = scope == "local" && (environment["TAPROOM_SCOPE"] ?? "").isEmpty
        return isStandard ? "make up" : "taproom up --scope \(scope)"
    }

    /// The scope's file: TAPROOM_CONFIG, else `<scope>_config.json` in the project.
    func configurationFile(scope: String) -> String { namedConfigurationFile ?? "\(root)/\(scope)_config.json" }

    private var namedConfigurationFile: String? {
        environment["TAPROOM_CONFIG"].flatMap { $0.isEmpty ? nil : URL(fileURLWithPath: $0).standardizedFileURL.path }
    }

    /// What the instance was started with, when it has this scope and TAPROOM_CONFIG names no other file than its own.
    /// - Throws: see `InstanceRecord.load`.
    func startedRecord(scope: String) throws -> InstanceRecord? {
        guard let record = try InstanceRecord.load(state: state), record.scope == scope,
            (namedConfigurationFile ?? record.configurationFile) == record.configurationFile
        else { return nil }
        return record
    }

    /// The database that the instance of this scope was started with; `nil` when there is none such.
    /// - Throws: `InstanceError` when it is the instance's own and that is down; see `InstanceRecord.load`.
    public func startedDatabase(service: String, scope: String) throws -> String? {
        guard let record = try startedRecord(scope: scope) else { return nil }
        if record.isEmbedded(service: service) { try refuseDown(record) }
        return record.databases[service]
    }

    /// - Throws: `InstanceError` when the instance of this record is down.
    func refuseDown(_ record: InstanceRecord) throws {
        guard Supervisor(placement: record.placement).process == nil else { return }
        throw InstanceError("the instance in \(state) is down: run \(upCommand(scope: record.scope)) first")
    }

    /// Reads the configuration of a scope.
    /// - Throws: `ConfigurationError` with everything that is wrong.
    /// - Parameters:
    ///   - file: instead of the scope's own.
    ///   - needsBroker: whether RabbitMQ must be configured.
    func configuration(
        scope: String, file: String? = nil, needsBroker: Bool = true
    ) throws -> Configuration {
        try Configuration(
            file: file ?? configurationFile(scope: scope), services: services, environment: environment,
            needsBroker: needsBroker)
    }

    /// The database that the environment gives a service; `nil` when the configuration says it.
    /// - Throws: `InstanceError` for what the configuration would refuse.
    public func databaseOverride(service: String) throws -> String? {
        let key = ConfigurationKey.all(services: [service]).first { $0.path == "databases.\(service)" }
        guard let key, let url = environment[key.variable], !url.isEmpty else { return nil }
        guard key.accepts(url) else {
            throw InstanceError("\(key.variable) has no usable value: \(key.remedy(for: url))")
        }
        return url
    }

    /// Where a service's database is in this scope, as a libpq URI that people and tools can use.
    /// - Throws: `ConfigurationError`; `InstanceError` when there is no such service, or its database is embedded and was
    ///   never started.
    public func databaseURL(service: String, scope: String, file: String? = nil) throws -> String {
        let record = try InstanceRecord.load(state: state)
        switch try configuration(scope: scope, file: file, needsBroker: false).databases[service] {
        case .outside(let url): return url
        case .embedded(let password):
            guard let port = record?.databasePort else {
                throw InstanceError(
                    "the embedded database of \(service) was never started in \(state): "
                        + "run \(upCommand(scope: scope)) first")
            }
            return Cluster.tcpURL(service: service, password: password, port: port)
        case nil: throw InstanceError("\(service) has no folder under migrations; make migrations/\(service)")
        }
    }
}
