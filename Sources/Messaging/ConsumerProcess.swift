import Glibc
import Postgres
import Runtime

/// What a consumer is told by its environment.
struct ConsumerConfiguration: Sendable {
    let broker: BrokerAddress
    let topology: ConsumerTopology
    let prefetch: Int
    let batchSize: Int
}

extension ConsumerConfiguration {
    /// Reads TAPROOM_QUEUE, TAPROOM_EXCHANGE, TAPROOM_ROUTING_KEYS, TAPROOM_RETRY, TAPROOM_DEAD_LETTER,
    /// TAPROOM_PREFETCH, TAPROOM_BATCH and AMQP_URL; faults are recorded in `settings`.
    init(_ settings: Settings) {
        let delays = settings.text("TAPROOM_RETRY")
        let retry = delays == "none" ? [] : delays.split(separator: ",").map { Int($0).flatMap { $0 > 0 ? $0 : nil } }
        if retry.contains(nil) {
            settings.fault("TAPROOM_RETRY", "is “\(delays)”: it must be seconds separated by commas, or none")
        }
        prefetch = settings.integer("TAPROOM_PREFETCH", .prefetch)
        batchSize = settings.integer("TAPROOM_BATCH", default: NumberRule.consumerBatch.standard, in: 1...prefetch)
        topology = ConsumerTopology(
            queue: settings.text("TAPROOM_QUEUE"), exchange: settings.text("TAPROOM_EXCHANGE"),
            routingKeys: settings.text("TAPROOM_ROUTING_KEYS", default: "").split(separator: ",").map { String($0) },
            retry: retry.compactMap { $0 }, deadLetter: settings.text("TAPROOM_DEAD_LETTER"))
        broker = settings.broker()
    }
}

/// What `main` of an event function does.
enum ConsumerProcess {
    static func run<F: EventFunction>(_ type: F.Type) -> Never {
        let ((function, database, configuration), process) = ProcessStart.make { settings, _ in
            // One event by hand needs no broker.
            (
                try type.init(settings), Database(settings),
                ProcessStart.isForOneEvent ? nil : ConsumerConfiguration(settings)
            )
        }
        let handling = EventHandling(function: function, database: database, process: process)
        guard let configuration else { exit(OneEvent(handling: handling).run()) }
        let signals = SignalSet.blockAll()
        Workers.run(process, count: process.concurrency, signals: signals) { stop, watch in
            var handling = handling
            handling.watch = watch
            Consumer(configuration, handling, stop: stop).run()
        }
    }
}
