import Foundation

/// What one scope is configured with: `<scope>_config.json`, overridden by the environment, read once at start.
public struct Configuration: Sendable, Equatable {
    /// Where the rows of a service are kept.
    public enum DatabaseSource: Sendable, Equatable {
        /// In the PostgreSQL that `up` starts, under a role with this password.
        case embedded(password: String)
        /// In a server of somebody else, which is never started nor stopped.
        case outside(url: String)
    }

    /// Where events are published.
    public enum BrokerSource: Sendable, Equatable {
        /// In the RabbitMQ that `up` starts, whose user has this password.
        case embedded(password: String)
        /// In a broker of somebody else, which is never started nor stopped.
        case outside(url: String)
    }

    /// The file it was read from.
    public let file: String
    /// Service name to where its database is.
    public let databases: [String: DatabaseSource]
    public let broker: BrokerSource
    /// Base URL of the e-commerce platform; `nil` for our own behind the gateway.
    public let ecommerceURL: String?
    public let ecommerceKey: String
    public let ecommerceSecret: String
    /// What may be done about an order whose outcome is unknown: `idempotent`, the same request id is sent again;
    /// `manual`, nothing is sent and an operator settles it.
    public let ecommerceResend: String
    /// IANA name of the zone whose calendar month is a billing period.
    public let billingTimeZone: String
    public let gatewayPort: Int

    /// Whether any service lives in the embedded PostgreSQL.
    public var hasEmbeddedDatabase: Bool {
        databases.values.contains { source in
            if case .embedded = source { true } else { false }
        }
    }

    /// Whether the broker is the embedded RabbitMQ.
    public var hasEmbeddedBroker: Bool { if case .embedded = broker { true } else { false } }

    /// Reads the file and lays the environment over it.
    /// - Parameters:
    ///   - services: the services that have a database.
    ///   - environment: `TAPROOM_` and the key's path in upper snake case overrides a key, unless it is empty.
    ///   - needsBroker: whether RabbitMQ must be configured; for what only looks into databases it need not.
    /// - Throws: `ConfigurationError` with every unknown, missing and wrong key or variable.
    public init(
        file: String, services: [String], environment: [String: String], needsBroker: Bool = true
    ) throws {
        guard let data = FileManager.default.contents(atPath: file) else {
            let fix = "copy model_config.json there and fill it in"
            throw ConfigurationError(
                file: file,
                problems: [FileManager.default.fileExists(atPath: file) ? "cannot be read" : "does not exist: \(fix)"])
        }
        var reader = ConfigurationReader(keys: ConfigurationKey.all(services: services), environment: environment)
        guard reader.read(data) else { throw ConfigurationError(file: file, problems: reader.problems) }
        let embedded = services.filter { reader.value("databases.\($0)").isEmpty }
        for service in embedded where reader.value("embedded_passwords.\(service)").isEmpty {
            reader.missing("embedded_passwords.\(service)")
        }
        let brokerURL = reader.value("rabbitmq.url")
        let brokerPassword = reader.value("embedded_passwords.rabbitmq")
        if needsBroker, brokerURL.isEmpty, brokerPassword.isEmpty, !reader.hasProblem("rabbitmq.url") {
            reader.missing("embedded_passwords.rabbitmq")
        }
        guard reader.problems.isEmpty else { throw ConfigurationError(file: file, problems: reader.problems) }
        self.file = file
        databases = Dictionary(
            uniqueKeysWithValues: services.map { service in
                let url = reader.value("databases.\(service)")
                let password = reader.value("embedded_passwords.\(service)")
                return (service, url.isEmpty ? .embedded(password: password) : .outside(url: url))
            })
        broker = brokerURL.isEmpty ? .embedded(password: brokerPassword) : .outside(url: brokerURL)
        let url = reader.value("ecommerce.url")
        ecommerceURL = url.isEmpty ? nil : url
        ecommerceKey = reader.value("ecommerce.api_key")
        ecommerceSecret = reader.value("ecommerce.api_secret")
        ecommerceResend = reader.value("ecommerce.resend")
        billingTimeZone = reader.value("billing.time_zone")
        gatewayPort = Int(reader.value("gateway.port")) ?? 0
    }
}

/// Everything that is wrong with one configuration file and the variables over it.
public struct ConfigurationError: Error, CustomStringConvertible {
    public let file: String
    /// One line per key, naming it and the fix.
    public let problems: [String]

    public var description: String {
        "the configuration \(file) is not usable:\n" + problems.map { "  \($0)" }.joined(separator: "\n")
    }
}
