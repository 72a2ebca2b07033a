import Foundation

/// What a start leaves of an instance: the record in which commands find it, also when nothing of it runs.
public struct StartedInstance: Encodable {
    private let state: String
    private let data: String
    private let run: String
    private let scope: String
    private let configurationFile: String
    private let gatewayPort: Int
    private let databasePort: Int?
    private let brokerPort: Int?
    private let rabbitmq: String?
    private let databases: [String: String]
    private let parameters: [String: String]

    /// - Parameters:
    ///   - state: its state folder.
    ///   - data: where its data lies; default there, too.
    ///   - run: where its sockets lie; default in that folder.
    ///   - configurationFile: that it was started with; default none.
    ///   - databasePort: of its own PostgreSQL; default none.
    ///   - brokerPort: of its own RabbitMQ; default none.
    ///   - rabbitmq: its broker's URI; default as in a record from before there was one.
    ///   - databases: service to URI.
    ///   - parameters: of `functions.yml`.
    public init(
        state: String, data: String? = nil, run: String? = nil, scope: String = "local", configurationFile: String = "",
        gatewayPort: Int = 1, databasePort: Int? = nil, brokerPort: Int? = nil, rabbitmq: String? = nil,
        databases: [String: String] = [:], parameters: [String: String] = [:]
    ) {
        self.state = state
        self.data = data ?? state
        self.run = run ?? state + "/run"
        self.scope = scope
        self.configurationFile = configurationFile
        self.gatewayPort = gatewayPort
        self.databasePort = databasePort
        self.brokerPort = brokerPort
        self.rabbitmq = rabbitmq
        self.databases = databases
        self.parameters = parameters
    }

    /// Writes it, with the folders on the way to it.
    /// - Parameter folder: in place of its state folder, as when that was moved or copied.
    public func write(to folder: String? = nil) throws {
        let file = URL(filePath: (folder ?? state) + "/instance.json")
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try JSONEncoder().encode(self).write(to: file)
    }
}
