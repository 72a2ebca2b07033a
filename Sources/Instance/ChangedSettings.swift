import Foundation
import Messaging
import Postgres

/// What another start would change of how an instance works.
extension InstanceRecord {
    /// Keeps a start from putting servers of our own in the place of those outside because a variable or a file was
    /// forgotten: orders would never reach the shop, and rows would go into an empty database.
    /// - Throws: `InstanceError` with each that the configuration no longer names, by its host alone.
    func refuseForgetting(_ configuration: Configuration) throws {
        var forgotten: [(path: String, host: String?)] = []
        if configuration.ecommerceURL == nil, let url = outsidePlatform {
            forgotten.append(("ecommerce.url", URLComponents(string: url)?.host))
        }
        for (service, url) in databases.sorted(by: { $0.key < $1.key })
        where configuration.databases[service]?.isEmbedded == true && !isEmbedded(service: service) {
            let parameters = connectionParameters(url)
            forgotten.append(("databases.\(service)", parameters?["host"] ?? parameters?["hostaddr"]))
        }
        if configuration.hasEmbeddedBroker, brokerPort == nil, let rabbitmq {
            forgotten.append(("rabbitmq.url", (try? BrokerAddress(rabbitmq))?.host))
        }
        guard !forgotten.isEmpty else { return }
        let keys = ConfigurationKey.all(services: Array(databases.keys))
        let lines = forgotten.map { path, host in
            let variable = keys.first { $0.path == path }?.variable ?? ""
            return "  \(path) (or \(variable)), which named \(host ?? "a server outside")\n"
        }
        let file = configurationFile
        let hint = file.isEmpty || file == configuration.file ? "" : "  TAPROOM_CONFIG, perhaps: it was \(file)\n"
        throw InstanceError(
            "the instance in \(state) works with servers outside that its configuration no longer names, and would get "
                + "empty ones of its own in their place. Set again:\n\(lines.joined())\(hint)"
                + "or go on without them: \(upCommand) --forget-outside")
    }

    /// What another start changes of how it works, a line each: perhaps a variable was forgotten.
    func changes(since known: InstanceRecord) -> [String] {
        func platform(_ record: InstanceRecord) -> String {
            record.outsidePlatform.map { URLComponents(string: $0)?.host ?? $0 } ?? "our own"
        }
        let values =
            [
                ("gateway.port", "\(known.gatewayPort)", "\(gatewayPort)"),
                ("ecommerce.url", platform(known), platform(self)),
            ]
            + ["ecommerce.resend", "billing.time_zone"].map { ($0, known.parameters[$0] ?? "", parameters[$0] ?? "") }
        return values.compactMap { path, old, new in
            old.isEmpty || old == new ? nil : "\(path) changes from \(old) to \(new)"
        }
    }
}
