import Foundation
import Glibc
import Messaging
import Postgres

/// One key of `<scope>_config.json`: its path, the variable that overrides it and what it may hold.
struct ConfigurationKey: Sendable {
    /// Dotted path, such as `ecommerce.api_key`.
    let path: String
    /// What stands there when the file does not say; `nil` when the key must be in the file.
    let standard: String?
    /// How to fix an absent or wrong value, the end of every message about this key.
    let fix: String
    /// `true` for a value that this key may have.
    let accepts: @Sendable (String) -> Bool
    /// What is wrong with a value that it may not have, where more can be said; it holds nothing secret.
    var reason: @Sendable (String) -> String? = { _ in nil }

    /// How to fix a value that it may not have.
    func remedy(for value: String) -> String { fix + (reason(value).map { ": \($0)" } ?? "") }

    /// The environment variable that overrides the key when it is set and not empty.
    var variable: String { path == "gateway.port" ? "TAPROOM_PORT" : regularVariable }

    /// What the rule makes of the path.
    var regularVariable: String { "TAPROOM_" + String(path.map { ".-".contains($0) ? "_" : $0 }).uppercased() }

    /// Every key, for the services that have a folder under `migrations/`.
    static func all(services: [String]) -> [ConfigurationKey] {
        let databases = services.flatMap { service in
            [
                ConfigurationKey(
                    path: "databases.\(service)", standard: nil,
                    fix: "give a libpq URI such as postgresql://user:password@host:5432/\(service), "
                        + "\(escaping), or \"\" for the embedded PostgreSQL",
                    accepts: { $0.isEmpty || isDatabaseURL($0) }),
                ConfigurationKey(
                    path: "embedded_passwords.\(service)", standard: "",
                    fix: "give the password that the embedded PostgreSQL shall have for \(service)",
                    accepts: { !$0.contains("\0") }),
            ]
        }
        return databases + [
            ConfigurationKey(
                path: "rabbitmq.url", standard: "",
                fix: "give an AMQP URI such as amqp://user:password@host:5672/vhost, \(escaping), or \"\" for the "
                    + "embedded RabbitMQ",
                accepts: { $0.isEmpty || isVisibleASCII($0) && (try? BrokerAddress($0)) != nil },
                reason: brokerFault),
            ConfigurationKey(
                path: "embedded_passwords.rabbitmq", standard: "",
                fix: "give the password that the embedded RabbitMQ shall have",
                accepts: { !$0.contains("\0") }),
            ConfigurationKey(
                path: "ecommerce.url", standard: nil,
                fix: "give the platform's base URL, such as https://shop.example.com/ecommerce, or \"\" for our own",
                accepts: { $0.isEmpty || isBaseURL($0) }),
            ConfigurationKey(
                path: "ecommerce.api_key", standard: nil, fix: "give the platform's API key", accepts: isHeaderValue),
            ConfigurationKey(
                path: "ecommerce.api_secret", standard: nil, fix: "give the platform's API secret",
                accepts: isHeaderValue),
            ConfigurationKey(
                path: "ecommerce.resend", standard: "idempotent",
                fix: "give idempotent when the platform makes one order per request id however often it is sent, "
                    + "else manual",
                accepts: ["idempotent", "manual"].contains),
            ConfigurationKey(
                path: "billing.time_zone", standard: "UTC",
                fix: "give a name of the IANA time zone database, such as America/Sao_Paulo",
                accepts: { ["UTC", "GMT"].contains($0) || $0.contains("/") && TimeZone(identifier: $0) != nil }),
            ConfigurationKey(
                path: "gateway.port", standard: "8080", fix: "give a whole number from 1 to 65535",
                accepts: { Int($0).map(ports.contains) ?? false }),
        ]
    }

    private static let escaping = "with special characters of the password percent-encoded (% as %25)"

    private static func brokerFault(_ text: String) -> String? {
        do throws(BrokerError) {
            _ = try BrokerAddress(text)
            return nil
        } catch {
            return "\(error)"
        }
    }

    private static func isBaseURL(_ text: String) -> Bool {
        // As it stands: what would have to be escaped first, libcurl refuses or sends so.
        guard let url = URL(string: text, encodingInvalidCharacters: false), let scheme = url.scheme?.lowercased()
        else { return false }
        return ["http", "https"].contains(scheme) && isHost(url.host(percentEncoded: true) ?? "") && url.query == nil
            && url.fragment == nil && (url.port.map(ports.contains) ?? true)
    }

    /// A name or an address as libcurl takes it, IPv6 in brackets or without.
    private static func isHost(_ text: String) -> Bool {
        if text.contains(":") {
            var address = in6_addr()
            return inet_pton(AF_INET6, text.trimmingCharacters(in: CharacterSet(charactersIn: "[]")), &address) == 1
        }
        return text.wholeMatch(of: /[A-Za-z0-9._-]+/) != nil
    }

    /// libpq looks at the ports when it connects.
    private static func isDatabaseURL(_ text: String) -> Bool {
        guard ["postgresql://", "postgres://"].contains(where: text.hasPrefix),
            let parameters = connectionParameters(text)
        else { return false }
        return (parameters["port"] ?? "").split(separator: ",").allSatisfy { Int($0).map(ports.contains) ?? false }
    }

    /// It travels in an HTTP header: something must be there.
    private static func isHeaderValue(_ text: String) -> Bool { !text.isEmpty && isVisibleASCII(text) }

    private static func isVisibleASCII(_ text: String) -> Bool { text.utf8.allSatisfy { (0x21...0x7E).contains($0) } }

    private static let ports = 1...65535
}
