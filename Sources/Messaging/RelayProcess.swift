import Runtime

/// What a relay is told by its environment.
struct RelayConfiguration: Sendable {
    let function: String
    let service: String
    let exchange: String
    let batchSize: Int
    let databaseURL: String
    let broker: BrokerAddress
}

/// The process that publishes a service's outbox: TAPROOM_OUTBOX names the service, TAPROOM_EXCHANGE the exchange,
/// TAPROOM_BATCH how many events go out together; DATABASE_URL and AMQP_URL say where, OUTBOX_SIGNAL wakes it.
public enum RelayProcess {
    /// Runs until SIGTERM; nothing that breaks outside ends it.
    public static func run() -> Never {
        let ((configuration, pipe), process) = ProcessStart.make { settings, process in
            let configuration = RelayConfiguration(
                function: process.function, service: settings.text("TAPROOM_OUTBOX"),
                exchange: settings.text("TAPROOM_EXCHANGE"),
                batchSize: settings.integer("TAPROOM_BATCH", .relayBatch),
                databaseURL: settings.text("DATABASE_URL"), broker: settings.broker())
            return (configuration, try SignalPipe(path: settings.text("OUTBOX_SIGNAL", default: "")))
        }
        let signals = SignalSet.blockAll()
        // A late confirm is waited for, and time is left to mark it; whoever stops the process waits longer still.
        let patience = process.timeoutMilliseconds + Publisher.confirmMilliseconds
        Workers.run(process, count: 1, signals: signals, patience: patience) { stop, _ in
            Relay(configuration, pipe: pipe, stop: stop).run()
        }
    }
}
