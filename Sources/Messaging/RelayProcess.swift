import Glibc
internal import Runtime

/// What a relay is told by its environment.
struct RelayConfiguration: Sendable {
    let function: String
    let service: String
    let exchange: String
    let batchSize: Int
    let databaseURL: String
    let broker: BrokerAddress
    let signalPath: String
}

/// The process that publishes a service's outbox: TAPROOM_OUTBOX names the service, TAPROOM_EXCHANGE the exchange,
/// TAPROOM_BATCH how many events go out together; DATABASE_URL and AMQP_URL say where, OUTBOX_SIGNAL wakes it.
public enum RelayProcess {
    /// Runs until SIGTERM; nothing that breaks outside ends it.
    public static func run() -> Never {
        let ((configuration, pipe), process) = ProcessStart.make { settings, process in
            let service = settings.text("TAPROOM_OUTBOX")
            let configuration = settings.broker().map {
                RelayConfiguration(
                    function: process.function, service: service,
                    exchange: settings.text("TAPROOM_EXCHANGE", default: ConsumerTopology.defaultExchange),
                    batchSize: settings.integer("TAPROOM_BATCH", .relayBatch),
                    databaseURL: settings.text("DATABASE_URL"), broker: $0,
                    signalPath: settings.text("OUTBOX_SIGNAL", default: ""))
            }
            return (configuration, try SignalPipe(path: configuration?.signalPath ?? ""))
        }
        // Without an address there was a fault, and the process has ended.
        guard let configuration else { exit(EX_CONFIG) }
        let signals = SignalSet.blockAll()
        // A late confirm is waited for, and time is left to mark it; whoever stops the process waits longer still.
        let patience = process.timeoutMilliseconds + Publisher.confirmMilliseconds
        Workers.run(process, count: 1, signals: signals, patience: patience) { stop, _ in
            Relay(configuration, pipe: pipe, stop: stop).run()
        }
    }
}
