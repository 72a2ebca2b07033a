import Foundation
import TestSupport
import Testing

@testable import Instance

@Suite struct ConfigurationTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func read(_ text: String, environment: [String: String] = [:]) throws -> Configuration {
        let file = folder.path + "/local_config.json"
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        return try Configuration(file: file, services: ["orders", "subscriptions"], environment: environment)
    }

    private static let complete = """
        {"databases": {"orders": "", "subscriptions": "postgresql://me@db.example.com/subscriptions"},
         "embedded_passwords": {"orders": "secret", "rabbitmq": "hidden"},
         "ecommerce": {"url": "", "api_key": "k", "api_secret": "s"}, "gateway": {"port": 9000}}
        """

    @Test("says where everything is") func places() throws {
        let configuration = try read(Self.complete)
        #expect(configuration.databases["orders"] == .embedded(password: "secret"))
        #expect(
            configuration.databases["subscriptions"] == .outside(url: "postgresql://me@db.example.com/subscriptions"))
        #expect(configuration.ecommerceURL == nil)
        #expect(configuration.gatewayPort == 9000)
        #expect(configuration.billingTimeZone == "UTC")
        #expect(configuration.ecommerceResend == "idempotent")
        #expect(configuration.hasEmbeddedDatabase)
    }

    @Test("the environment goes before the file, unless it is empty") func environmentFirst() throws {
        let configuration = try read(
            Self.complete,
            environment: [
                "TAPROOM_PORT": "9100", "TAPROOM_ECOMMERCE_URL": "http://127.0.0.1:9/shop",
                "TAPROOM_BILLING_TIME_ZONE": "America/Sao_Paulo", "TAPROOM_ECOMMERCE_API_KEY": "",
                "TAPROOM_DATABASES_ORDERS": "postgresql://db.example.com/orders",
            ])
        #expect(configuration.gatewayPort == 9100)
        #expect(configuration.ecommerceURL == "http://127.0.0.1:9/shop")
        #expect(configuration.billingTimeZone == "America/Sao_Paulo")
        for zone in ["UTC", "GMT", "Etc/UTC", "Asia/Kolkata", "America/Argentina/Buenos_Aires"] {
            let configuration = try read(Self.complete, environment: ["TAPROOM_BILLING_TIME_ZONE": zone])
            #expect(configuration.billingTimeZone == zone)
        }
        #expect(configuration.ecommerceKey == "k")
        #expect(!configuration.hasEmbeddedDatabase)
    }

    @Test("lists every unknown, missing and wrong key with its fix") func everyProblem() throws {
        let error = try #require(throws: ConfigurationError.self) {
            try read(
                """
                {"databases": {"orders": "mysql://x", "subscription": ""}, "ecommerce": {"url": "shop", "api_key": 7, "resend": "never"},
                 "gateway": {"port": "9000"}, "billing": {"time_zone": "Mars/Olympus"}, "colour": "amber"}
                """, environment: ["TAPROOM_ECOMMERCE_API_SECRET": "two words"])
        }
        let expected = [
            "billing.time_zone has no usable value: give a name of the IANA time zone database",
            "colour is not a key: take it out",
            "databases.orders has no usable value: give a libpq URI",
            "databases.subscription is not a key: did you mean databases.subscriptions?",
            "databases.subscriptions is missing: give a libpq URI",
            "ecommerce.api_key must be a string: give the platform's API key",
            "ecommerce.resend has no usable value: give idempotent when",
            "ecommerce.url has no usable value: give the platform's base URL",
            "gateway.port is a text: give a whole number from 1 to 65535, without quotes",
            "TAPROOM_ECOMMERCE_API_SECRET has no usable value: give the platform's API secret",
        ]
        for problem in expected {
            #expect(error.problems.contains { $0.hasPrefix(problem) }, "\(problem)\nnot in\n\(error)")
        }
        #expect(error.description.contains(folder.path + "/local_config.json"))
    }

    @Test("what a port is that is none is said") func wrongPorts() throws {
        for (port, what) in [
            ("true", "is true: give"), ("99999999999999999999", "is 1e+20: give"), ("null", "is null: give"),
            ("[8080]", "is a list: give"), ("0", "has no usable value: give"),
        ] {
            let error = #expect(throws: ConfigurationError.self) {
                try read(Self.complete.replacingOccurrences(of: "9000", with: port))
            }
            #expect(error?.problems.first?.hasPrefix("gateway.port \(what) a whole number") == true, "\(error as Any)")
        }
    }

    @Test("a variable that is meant for a key and names none is refused") func unknownVariable() throws {
        for (name, hint) in [
            ("TAPROOM_ECOMMERCE_RESEN", "did you mean TAPROOM_ECOMMERCE_RESEND?"),
            ("TAPROOM_EMBEDDED_PASSWORD_ORDERS", "did you mean TAPROOM_EMBEDDED_PASSWORDS_ORDERS?"),
            ("TAPROOM_GATEWAY_PORT", "did you mean TAPROOM_PORT?"), ("TAPROOM_DATABASES_INVENTORY", "unset it"),
        ] {
            let error = #expect(throws: ConfigurationError.self) {
                try read(Self.complete, environment: [name: "manual"])
            }
            let problems = error?.problems ?? []
            #expect(problems.count == 1 && problems[0].hasPrefix("\(name) overrides no key: \(hint)"), "\(problems)")
            _ = try read(Self.complete, environment: [name: "", "TAPROOM_TIMEOUT": "6", "TAPROOM_STATE": "x"])
        }
    }

    @Test(
        "a variable that is spelt nearly like one is refused",
        arguments: [
            ("TAPROOM_PROT", "PORT"), ("TAPROOM_ECOMERCE_URL", "ECOMMERCE_URL"), ("TAPROOM_STAT", "STATE"),
            ("TAPROOM_BILING_TIME_ZONE", "BILLING_TIME_ZONE"),
        ])
    func misspeltVariable(name: String, meant: String) throws {
        let error = #expect(throws: ConfigurationError.self) {
            try read(Self.complete, environment: [name: "9000"])
        }
        #expect(error?.problems == ["\(name) is not a known variable: did you mean TAPROOM_\(meant)?"])
    }

    @Test("the path of an order can follow the platform's base URL", arguments: ["?to=orders", "#orders", "#"])
    func platformPath(rest: String) throws {
        #expect(throws: ConfigurationError.self) {
            try read(Self.complete, environment: ["TAPROOM_ECOMMERCE_URL": "https://shop.example.com/api\(rest)"])
        }
    }

    @Test(
        "the platform's host is one that can be asked for",
        arguments: [
            ("HTTP://shop.example.com", true), ("http://[::1]:8080/shop", true), ("http://127.0.0.1", true),
            ("https://my_shop-2.example.com./", true), ("https://[z::1]:99/", false), ("https://name=b9/", false),
            ("http://a,b", false), ("http://%61", false),
        ])
    func platformHost(url: String, isTaken: Bool) throws {
        let configuration = try? read(Self.complete, environment: ["TAPROOM_ECOMMERCE_URL": url])
        #expect((configuration != nil) == isTaken)
    }

    @Test("an embedded database needs a password") func missingPassword() throws {
        let error = try #require(throws: ConfigurationError.self) {
            try read(Self.complete.replacingOccurrences(of: "\"secret\"", with: "\"\""))
        }
        #expect(error.problems.count == 1)
        #expect(error.problems[0].hasPrefix("embedded_passwords.orders is missing: give the password"))
        #expect(error.problems[0].contains("TAPROOM_EMBEDDED_PASSWORDS_ORDERS"))
    }

    @Test(
        "text that is not a JSON object names the file and the place, and nothing that is missing",
        arguments: [
            ("", "is not JSON at line 1, column 1"), ("{", "is not JSON at line 1, column 2"),
            ("[]", "must hold one JSON object, as model_config.json does"),
            ("{\"billing\": {},\n \"böden\": }", "is not JSON at line 2, column 11"),
        ])
    func noJSON(text: String, problem: String) throws {
        let error = try #require(throws: ConfigurationError.self) { try read(text) }
        #expect(error.description.contains("local_config.json"))
        #expect(error.problems == [problem])
    }

    @Test(
        "an address is one that its library can use",
        arguments: [
            (
                "TAPROOM_ECOMMERCE_URL", ["http://h:8080/%C3%A9/", "https://[::1]/"],
                ["http://h/a b", "http://h/é/", "http://h/%zz", "http://h:99999", "http://h:0/"]
            ),
            (
                "TAPROOM_DATABASES_ORDERS",
                ["postgres://a:b%20@h,i:5432,5433/x?options=-c%20jit%3Don", "postgresql:///x"],
                ["postgresql://%zz", "postgresql://h:99999/x", "postgresql://h/x?colour=amber"]
            ),
            (
                "TAPROOM_RABBITMQ_URL", ["amqp://u:p@h", "amqp://u:p%20@[::1]:5673/%2F"],
                ["amqp://u:p@h:99999/", "amqp://h", "amqp://u:%zz@h", "amqp://u:p q@h"]
            ),
        ])
    func addresses(name: String, usable: [String], unusable: [String]) throws {
        for address in usable { _ = try read(Self.complete, environment: [name: address]) }
        for address in unusable {
            let error = #expect(throws: ConfigurationError.self, "\(address)") {
                try read(Self.complete, environment: [name: address])
            }
            #expect(error?.problems.first?.hasPrefix("\(name) has no usable value: give ") == true, "\(address)")
        }
    }

    @Test("an address that cannot be used is told how a password is written in it") func passwordInAddress() throws {
        for (name, address, reason) in [
            ("TAPROOM_DATABASES_ORDERS", "postgresql://shop:50%off@h/x", ""),
            ("TAPROOM_RABBITMQ_URL", "amqp://shop:50%off@h", "must be percent-encoded UTF-8 without NUL"),
        ] {
            let error = #expect(throws: ConfigurationError.self) {
                try read(Self.complete, environment: [name: address])
            }
            let problem = error?.problems.first ?? ""
            #expect(problem.contains("special characters of the password percent-encoded (% as %25)"), "\(problem)")
            #expect(problem.hasSuffix(reason) && !problem.contains("50%off"), "\(problem)")
        }
    }

    @Test("the first start writes the model with secrets of its own, for the owner only") func firstStart() throws {
        let (first, second) = (folder.path + "/first.json", folder.path + "/second.json")
        let model = Repository.root + "/model_config.json"
        for file in [first, second] { #expect(try ConfigurationFile.writeIfMissing(file, model: model)) }
        let text = try String(contentsOfFile: first, encoding: .utf8)
        #expect(try !ConfigurationFile.writeIfMissing(first, model: model))
        #expect(try String(contentsOfFile: first, encoding: .utf8) == text)
        let attributes = try FileManager.default.attributesOfItem(atPath: first)
        #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)
        let services = try Project(root: Repository.root, executables: "", environment: [:]).services
        let one = try Configuration(file: first, services: services, environment: [:])
        let other = try Configuration(file: second, services: services, environment: [:])
        #expect(one.databases != other.databases)
        #expect(one.broker != other.broker)
        #expect(Set([one.ecommerceKey, one.ecommerceSecret, other.ecommerceKey, other.ecommerceSecret]).count == 4)
        #expect(one.ecommerceKey.count == 32)
    }
}
