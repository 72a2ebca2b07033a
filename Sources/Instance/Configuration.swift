import Foundation

/// What one scope is configured with: `<scope>_config.json`, overridden by the environment, read once at start.
struct Configuration: Sendable, Equatable {
    /// Which server keeps the rows of a service, or takes the events.
    enum Source: Sendable, Equatable {
        /// The one that `up` starts, where a role or user has this password.
        case embedded(password: String)
        /// One of somebody else, which is never started nor stopped.
        case outside(url: String)

        var isEmbedded: Bool { password != nil }
        /// `nil` for a server outside.
        var password: String? { if case .embedded(let password) = self { password } else { nil } }
    }

    /// The file it was read from.
    let file: String
    /// Service name to where its database is.
    let databases: [String: Source]
    let broker: Source
    /// Base URL of the e-commerce platform; `nil` for our own behind the gateway.
    let ecommerceURL: String?
    let ecommerceKey: String
    let ecommerceSecret: String
    /// What may be done about an order whose outcome is unknown: `idempotent`, the same request id is sent again;
    /// `manual`, nothing is sent and an operator settles it.
    let ecommerceResend: String
    /// IANA name of the zone whose calendar month is a billing period.
    let billingTimeZone: String
    let gatewayPort: Int

    /// Whether any service lives in the embedded PostgreSQL.
    var hasEmbeddedDatabase: Bool { databases.values.contains(where: \.isEmbedded) }

    /// Whether the broker is the embedded RabbitMQ.
    var hasEmbeddedBroker: Bool { broker.isEmbedded }

    /// Reads the file and lays the environment over it.
    /// - Parameters:
    ///   - services: the services that have a database.
    ///   - environment: `TAPROOM_` and the key's path in upper snake case overrides a key, unless it is empty.
    ///   - needsBroker: whether RabbitMQ must be configured; for what only looks into databases it need not.
    /// - Throws: `ConfigurationError` with every unknown, missing and wrong key or variable.
    init(
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
struct ConfigurationError: Error, CustomStringConvertible {
    let file: String
    /// One line per key, naming it and the fix.
    let problems: [String]

    var description: String {
        "the configuration \(file) is not usable:\n" + problems.map { "  \($0)" }.joined(separator: "\n")
    }
}
