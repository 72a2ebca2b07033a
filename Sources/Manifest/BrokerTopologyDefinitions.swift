public import Messaging
import Runtime

extension BrokerTopology {
    /// RabbitMQ's format of definitions, for `rabbitmqctl import_definitions` or the management plugin; ends with a
    /// newline. It is the committed `topology.json`.
    public var definitions: String {
        let file = Definitions(
            exchanges: exchanges.map { .init(name: $0) },
            queues: queues.map { .init(name: $0.name, arguments: $0.arguments) },
            bindings: bindings.map {
                .init(source: $0.exchange, destination: $0.queue, routing_key: $0.routingKey)
            })
        // Texts and whole numbers always encode.
        return ((try? JSON.text(file, isPretty: true)) ?? "") + "\n"
    }
}

extension ConsumerTopology.Argument: Encodable {
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .text(let text): try container.encode(text)
        case .integer(let number): try container.encode(number)
        }
    }
}

/// The names are RabbitMQ's.
private struct Definitions: Encodable {
    struct Exchange: Encodable {
        let name: String
        var vhost = "/"
        var type = "topic"
        var durable = true
        var auto_delete = false
        var `internal` = false
        var arguments: [String: String] = [:]
    }

    struct Queue: Encodable {
        let name: String
        var vhost = "/"
        var durable = true
        var auto_delete = false
        let arguments: [String: ConsumerTopology.Argument]
    }

    struct Binding: Encodable {
        let source: String
        var vhost = "/"
        let destination: String
        var destination_type = "queue"
        let routing_key: String
        var arguments: [String: String] = [:]
    }

    let exchanges: [Exchange]
    let queues: [Queue]
    let bindings: [Binding]
}
