import Messaging
import Runtime
import Yams

/// Reads `outbox: {service: NAME, …}`.
struct OutboxReader {
    /// The mapping with the key `outbox`.
    let event: Section

    /// Nil, with a report, when it is none.
    func read() -> OutboxTrigger? {
        guard let section = event.section("outbox") else { return nil }
        section.warnAboutKeys(except: ["service", "exchange", "batchSize"])
        if section.value("service") == nil {
            section.report("is missing; name the service whose outbox is published", "service")
        }
        let exchange = section.brokerName("exchange", of: "an exchange") ?? ConsumerTopology.defaultExchange
        let batchSize = section.integer("batchSize", .relayBatch, of: "events")
        guard let service = section.string("service") else { return nil }
        guard service.wholeMatch(of: /[a-z][a-z0-9_-]{0,62}/) != nil else {
            section.report(
                "must be a service's name as under migrations/, lower case letters, digits, - and _, "
                    + "not \"\(service)\"", "service")
            return nil
        }
        return OutboxTrigger(service: service, exchange: exchange, batchSize: batchSize)
    }
}
