import Foundation
import Messaging
import Postgres

/// What another start would change of how an instance works.
extension InstanceRecord {
    /// Keeps a start from putting servers of our own in the place of those outside, or from sending doubts again that
    /// were left to an operator, because a variable or a file was forgotten: orders would never reach the shop, or reach
    /// it twice, and rows would go into an empty database.
    /// - Parameter environment: alone it takes back `manual`: the file is written with `idempotent`, whatever a variable said
    ///   over it.
    /// - Throws: `InstanceError` with each setting that the configuration no longer has, servers by their hosts alone.
    func refuseForgetting(_ configuration: Configuration, environment: [String: String]) throws {
        var forgotten: [(path: String, was: String)] = []
        func forget(_ path: String, at host: String?) {
            forgotten.append((path, "named \(host ?? "a server outside")"))
        }
        if configuration.ecommerceURL == nil, let url = outsidePlatform {
            forget("ecommerce.url", at: URLComponents(string: url)?.host)
        }
        let (old, new) = (parameters["ecommerce.resend"], configuration.ecommerceResend)
        let word = "TAPROOM_ECOMMERCE_RESEND"
        if outsidePlatform != nil, old == "manual", new != "manual", environment[word]?.isEmpty ?? true {
            forgotten.append(("ecommerce.resend", "was manual; \(word)=\(new) sends what is in doubt again"))
        }
        for (service, url) in databases.sorted(by: { $0.key < $1.key })
        where configuration.databases[service]?.isEmbedded == true && !isEmbedded(service: service) {
            let parameters = connectionParameters(url)
            forget("databases.\(service)", at: parameters?["host"] ?? parameters?["hostaddr"])
        }
        if configuration.hasEmbeddedBroker, brokerPort == nil, let rabbitmq {
            forget("rabbitmq.url", at: (try? BrokerAddress(rabbitmq))?.host)
        }
        guard !forgotten.isEmpty else { return }
        let keys = ConfigurationKey.all(services: Array(databases.keys))
        let lines = forgotten.map { path, was in
            "  \(path) (or \(keys.first { $0.path == path }?.variable ?? "")), which \(was)\n"
        }
        let file = configurationFile
        let hint = file.isEmpty || file == configuration.file ? "" : "  TAPROOM_CONFIG, perhaps: it was \(file)\n"
        throw InstanceError(
            "the instance in \(state) works with servers outside, and its configuration lacks what it was started with: "
                + "it would get empty ones of its own in their place, or send orders again that are in doubt. Set "
                + "again:\n\(lines.joined())\(hint)or go on without: \(upCommand) --forget-outside")
    }

    /// What another start changes of how it works, a line each: perhaps a variable was forgotten.
    func changes(since known: InstanceRecord) -> [String] {
        func platform(_ record: InstanceRecord) -> String {
            guard let url = record.outsidePlatform else { return "our own" }
            var parts = URLComponents(string: url)
            parts?.user = nil
            parts?.password = nil
            return parts?.string ?? url
        }
        func port(_ number: Int?) -> String { number.map(String.init) ?? "" }
        let values =
            [
                ("gateway.port", "\(known.gatewayPort)", "\(gatewayPort)"),
                ("PostgreSQL's port", port(known.databasePort), port(databasePort)),
                ("RabbitMQ's port", port(known.brokerPort), port(brokerPort)),
                ("ecommerce.url", platform(known), platform(self)),
            ]
            + ["ecommerce.resend", "billing.time_zone"].map { ($0, known.parameters[$0] ?? "", parameters[$0] ?? "") }
        return values.compactMap { path, old, new in
            old.isEmpty || new.isEmpty || old == new ? nil : "\(path) changes from \(old) to \(new)"
        }
    }
}
