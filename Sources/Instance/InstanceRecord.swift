import Foundation
import Runtime

/// What is remembered of a started instance, in `instance.json` of its state folder, mode 0600: it holds passwords.
/// With it every other command finds the instance, whatever the environment it runs in.
public struct InstanceRecord: Codable, Sendable, Equatable {
    public let state: String
    let data: String
    let run: String
    public let scope: String
    let configurationFile: String
    let gatewayPort: Int
    /// Port of the embedded PostgreSQL on 127.0.0.1; `nil` when nothing is embedded.
    let databasePort: Int?
    /// Port of the embedded RabbitMQ on 127.0.0.1; `nil` when it is not embedded, or from before there was one.
    public let brokerPort: Int?
    /// AMQP URI of the broker; `nil` in a record from before there was one.
    public let rabbitmq: String?
    /// Service to libpq URI over TCP.
    public let databases: [String: String]
    /// What `${param:…}` in functions.yml stands for.
    public let parameters: [String: String]

    /// Base URL of the gateway.
    public var gateway: String { "http://127.0.0.1:\(gatewayPort)" }

    /// The command that starts it, and leaves its scope as it is.
    public var upCommand: String { "taproom up --scope \(scope)" }

    public var placement: Placement { Placement(state: state, data: data, run: run) }

    private static func file(_ state: String) -> String { state + "/instance.json" }

    /// - Returns: `nil` when no instance was ever started with this state folder.
    /// - Throws: `InstanceError`, also for another user's folder, and for a record that was made in another folder, of
    ///   which this one is a copy or which it was before it was moved: what it names may be the other's.
    public static func load(state: String) throws -> InstanceRecord? {
        guard let record = try read(state: state) else { return nil }
        guard record.isMade(in: state) else { throw record.refusal(in: state) }
        return record
    }

    /// The same, wherever the record was made.
    static func read(state: String) throws -> InstanceRecord? {
        let path = file(state)
        guard Ownership.owner(of: path) != nil else { return nil }
        try Placement.refuseOtherUser(Placement.resolve(state))
        guard let data = FileManager.default.contents(atPath: path) else {
            guard FileManager.default.fileExists(atPath: path) else { return nil }
            throw InstanceError("\(path) cannot be read: it belongs to the user who started the instance")
        }
        do {
            return try JSONDecoder().decode(InstanceRecord.self, from: data)
        } catch {
            throw InstanceError(
                "\(path) is damaged (\(error)): run make down, which stops what runs there all the same, then remove "
                    + "that file and start the instance again")
        }
    }

    /// Whether this is its folder, under whatever name.
    func isMade(in state: String) -> Bool { Placement.resolve(self.state) == Placement.resolve(state) }

    /// Whether its folder is gone, moved or lost.
    var isLeft: Bool { !FileManager.default.fileExists(atPath: Self.file(state)) }

    /// Where `data` lies when it is not in the state folder.
    var dataElsewhere: String? { data == state ? nil : data }

    /// Why nothing may be done with it in another folder than its own, and the way out.
    func refusal(in folder: String) -> InstanceError {
        let text =
            switch (isLeft, dataElsewhere) {
            case (true, nil): "was moved here from \(state): \(upCommand) starts it here"
            case (true, let data?):
                "was moved here from \(state), and its data stayed in \(data), which belongs to that path: "
                    + "move the folder back there"
            case (false, nil):
                "is a copy of \(state): \(upCommand) starts the copy, and TAPROOM_STATE=\(state) means the original"
            case (false, let data?):
                "is a copy of \(state), whose data lies in \(data) and was not copied: "
                    + "TAPROOM_STATE=\(state) means the original, and taproom clean-state removes the copy alone"
            }
        return InstanceError("\(folder) \(text)")
    }

    func save() throws {
        try writeFile(Self.file(state), Data(try JSON.encode(self, isPretty: true)), mode: 0o600)
    }
}

extension InstanceRecord {
    /// - Parameter migrationHeads: service to the last revision of its migrations.
    init(
        placement: Placement, scope: String, configuration: Configuration, databasePort: Int?, brokerPort: Int?,
        migrationHeads: [String: String]
    ) {
        var databases: [String: String] = [:]
        var parameters = [
            "ecommerce.url": configuration.ecommerceURL ?? "http://127.0.0.1:\(configuration.gatewayPort)/ecommerce",
            "ecommerce.api_key": configuration.ecommerceKey,
            "ecommerce.api_secret": configuration.ecommerceSecret,
            "ecommerce.resend": configuration.ecommerceResend,
            "billing.time_zone": configuration.billingTimeZone,
        ]
        for (service, source) in configuration.databases {
            switch source {
            case .outside(let url):
                databases[service] = url
                parameters["databases.\(service)"] = url
            case .embedded(let password):
                let port = databasePort ?? 0
                databases[service] = Cluster.tcpURL(service: service, password: password, port: port)
                parameters["databases.\(service)"] = Cluster.socketURL(
                    service: service, password: password, folder: placement.databaseSocket, port: port)
            }
        }
        for service in configuration.databases.keys {
            parameters["signals.\(service)"] = placement.signal(of: service)
        }
        let rabbitmq =
            switch configuration.broker {
            case .outside(let url): url
            case .embedded(let password): Broker.url(password: password, port: brokerPort ?? 0)
            }
        parameters["rabbitmq.url"] = rabbitmq
        for (service, head) in migrationHeads { parameters["migrations.\(service).head"] = head }
        self.init(
            state: placement.state, data: placement.data, run: placement.run, scope: scope,
            configurationFile: configuration.file, gatewayPort: configuration.gatewayPort, databasePort: databasePort,
            brokerPort: brokerPort, rabbitmq: rabbitmq, databases: databases, parameters: parameters)
    }
}

extension InstanceRecord {
    /// The names of all `parameters` of an instance with these services; the head only of one that has migrations.
    static func parameterNames(services: [String]) -> [String] {
        services.map { "databases.\($0)" } + services.map { "signals.\($0)" }
            + services.map { "migrations.\($0).head" } + [
                "rabbitmq.url", "ecommerce.url", "ecommerce.api_key", "ecommerce.api_secret", "ecommerce.resend",
                "billing.time_zone",
            ]
    }

    /// Base URL of the platform; `nil` for our own behind the gateway.
    public var outsidePlatform: String? {
        parameters["ecommerce.url"].flatMap { $0 == gateway + "/ecommerce" ? nil : $0 }
    }

    /// Whether this service's rows are in the PostgreSQL that the instance started.
    public func isEmbedded(service: String) -> Bool {
        guard let databasePort, let url = databases[service] else { return false }
        return url.contains("@127.0.0.1:\(databasePort)/")
    }
}
