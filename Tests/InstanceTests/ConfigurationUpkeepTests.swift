import Foundation
import Glibc
import Runtime
import TestSupport
import Testing

@testable import Instance

/// What `up` adds to a configuration that was written before a service or the broker was there.
@Suite struct ConfigurationUpkeepTests {
    private let folder: TemporaryFolder
    private let file: String

    init() throws {
        folder = try TemporaryFolder()
        file = folder.path + "/local_config.json"
    }

    private static let old = """
        {"databases": {"orders": "", "subscriptions": "postgresql://me@db.example.com/subscriptions"},
         "embedded_passwords": {"orders": "secret"},
         "ecommerce": {"url": "", "api_key": "k", "api_secret": "s"}, "gateway": {"port": 9000}}
        """

    private func write(_ text: String, mode: mode_t = 0o600) throws {
        try folder.write("local_config.json", text)
        chmod(file, mode)
    }

    private func complete(services: [String] = ["customers", "orders", "subscriptions"]) throws -> [String] {
        try ConfigurationFile.addMissing(file, services: services)
    }

    @Test(
        "what is missing gets random secrets, and all else stays, the mode too", arguments: [0o600, 0o640] as [mode_t])
    func missingSecrets(mode: mode_t) throws {
        try write(Self.old, mode: mode)
        #expect(
            try complete() == [
                "databases.customers", "embedded_passwords.customers", "embedded_passwords.rabbitmq", "rabbitmq.url",
            ])
        let services = ["customers", "orders", "subscriptions"]
        let configuration = try Configuration(file: file, services: services, environment: [:])
        guard case .embedded(let password) = configuration.broker,
            case .embedded(let customers)? = configuration.databases["customers"]
        else {
            Issue.record("\(configuration)")
            return
        }
        #expect(password.count == 32 && customers.count == 32 && password != customers)
        #expect(configuration.databases["orders"] == .embedded(password: "secret"))
        #expect(
            configuration.databases["subscriptions"] == .outside(url: "postgresql://me@db.example.com/subscriptions"))
        #expect(configuration.ecommerceKey == "k" && configuration.gatewayPort == 9000)
        var status = stat()
        #expect(stat(file, &status) == 0 && status.st_mode & 0o777 == mode)
        let text = try folder.read("local_config.json")
        #expect(try complete().isEmpty)
        #expect(try folder.read("local_config.json") == text)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["local_config.json"])
    }

    @Test(
        "a file that says something of a part, or nothing that can be read, stays as it is",
        arguments: [
            #"{"rabbitmq": {"url": "amqp://me:x@mq.example.com"}, "databases": {"orders": ""}}"#,
            #"{"embedded_passwords": {"rabbitmq": "x", "orders": "y"}}"#,
            #"{"rabbitmq": 1, "databases": 2, "embedded_passwords": 3}"#, "[1]", "{", "",
        ])
    func fileStays(text: String) throws {
        try write(text)
        #expect(try complete(services: ["orders"]).isEmpty)
        #expect(try folder.read("local_config.json") == text)
    }

    @Test("a file that cannot be read is left to its reader") func unreadableFile() throws {
        mkdir(file, 0o755)
        #expect(try complete().isEmpty)
        let error = #expect(throws: ConfigurationError.self) {
            try Configuration(file: file, services: [], environment: [:])
        }
        #expect(error?.problems == ["cannot be read"])
    }

    @Test("two that do it at once write one secret") func twoAtOnce() throws {
        try write(Self.old)
        let written = Lock<[[String]]>([])
        DispatchQueue.concurrentPerform(iterations: 8) { _ in
            let added = (try? complete()) ?? ["failed"]
            written.withLock { $0.append(added) }
        }
        #expect(written.withLock { $0.filter { !$0.isEmpty }.count } == 1)
    }

    @Test("a linked file is completed where it lies") func linkedFile() throws {
        try folder.write("elsewhere/config.json", Self.old)
        symlink("elsewhere/config.json", file)
        #expect(try !complete().isEmpty)
        #expect(try folder.read("elsewhere/config.json").contains("rabbitmq"))
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: file) == "elsewhere/config.json")
    }

    @Test("the broker is embedded with a password, or outside with a URI") func brokerEmbeddedOrOutside() throws {
        func read(_ broker: String, environment: [String: String] = [:]) throws -> Configuration {
            let others = #""ecommerce": {"url": "", "api_key": "k", "api_secret": "s"}"#
            try write("{\(broker), \(others)}")
            return try Configuration(file: file, services: [], environment: environment)
        }
        let embedded = #""embedded_passwords": {"rabbitmq": "secret"}"#
        #expect(try read(embedded).broker == .embedded(password: "secret"))
        #expect(try read(embedded).hasEmbeddedBroker)
        let url = "amqp://me:x@mq.example.com:5672/%2F"
        #expect(try read("\"rabbitmq\": {\"url\": \"\(url)\"}").broker == .outside(url: url))
        #expect(try read(embedded, environment: ["TAPROOM_RABBITMQ_URL": url]).broker == .outside(url: url))
        for (broker, problem) in [
            (#""rabbitmq": {"url": ""}"#, "embedded_passwords.rabbitmq is missing: give the password"),
            (#""rabbitmq": {"url": "amqps://x"}"#, "rabbitmq.url has no usable value: give an AMQP URI"),
        ] {
            let error = try #require(throws: ConfigurationError.self) { try read(broker) }
            #expect(error.problems.count == 1 && error.problems[0].hasPrefix(problem), "\(error)")
        }
    }
}
