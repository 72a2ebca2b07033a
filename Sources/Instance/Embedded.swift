import Manifest

/// The servers that an instance starts for itself: PostgreSQL, RabbitMQ, or what of both its configuration leaves to it.
struct Embedded {
    private let instance: Instance
    private let cluster: Cluster?
    private let broker: Broker?
    /// Service to the password of its role.
    private let passwords: [String: String]

    init(_ instance: Instance, _ configuration: Configuration, _ accounts: Accounts) {
        self.instance = instance
        cluster = configuration.hasEmbeddedDatabase ? instance.cluster(accounts) : nil
        broker = configuration.broker.password.flatMap { instance.broker(accounts, password: $0) }
        passwords = configuration.databases.compactMapValues(\.password)
    }

    /// Makes the files that they need to start.
    func prepare(_ progress: Progress) throws {
        if let cluster {
            // While supervisord runs it may start one at any moment.
            if !instance.isRunning { cluster.locks.removeLeft() }
            try progress.step("Preparing PostgreSQL") { try cluster.initialise() }
        }
        if let broker { try progress.step("Preparing RabbitMQ") { try broker.prepare() } }
    }

    /// How supervisord runs them.
    func programs() throws -> [Program] {
        try (cluster.map { [try $0.program()] } ?? []) + (broker.map { [try $0.program()] } ?? [])
    }

    /// Waits for PostgreSQL and gives every service its role and database.
    func waitForDatabases(_ progress: Progress) throws {
        guard let cluster else { return }
        let databases = ServiceDatabases(cluster: cluster, passwords: passwords)
        try progress.step("Waiting for PostgreSQL") {
            var obstacle: String?
            func isReachable() throws -> Bool {
                obstacle = try databases.obstacle()
                return obstacle == nil
            }
            if try !waitUntil(seconds: 60, condition: isReachable) {
                // After a crash it first goes through all that it logged: "the database system is starting up".
                _ = try waitUntil(seconds: 540) {
                    try isReachable() || obstacle?.contains("the database system is") == false
                }
            }
            guard obstacle == nil else {
                throw try Readiness(instance: instance).failure(
                    "PostgreSQL does not answer: \(obstacle ?? "")", suspects: ["postgres"])
            }
        }
        try progress.step("Making roles and databases") { try databases.create() }
    }

    /// Waits for RabbitMQ. After a crash it first looks through all that it stored.
    func waitForBroker(_ progress: Progress) throws {
        guard broker != nil else { return }
        let queues = BrokerQueues(instance: instance)
        try progress.step("Waiting for RabbitMQ") {
            guard try waitUntil(seconds: 180, every: 100, condition: { try queues.isReachable() }) else {
                throw try Readiness(instance: instance).failure(
                    "RabbitMQ does not answer", suspects: [Broker.program])
            }
        }
    }
}
