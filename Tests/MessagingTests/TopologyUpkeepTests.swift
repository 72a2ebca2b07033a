import Events
import Postgres
import TestSupport
import Testing

@testable import Messaging
@testable import Runtime

extension MessagingTests {
    /// What somebody takes away at the broker while a consumer runs.
    @Suite struct TopologyUpkeepTests {
        private struct Note: EventFunction {
            struct Payload: Decodable, Sendable {}

            init() {}
            init(_ settings: Settings) {}
            func handle(_ event: CloudEvent<Payload>, in transaction: Connection, _ context: Context) throws {
                try transaction.execute(
                    "INSERT INTO effect (event_id) VALUES (\(event.id))", deadline: context.deadline)
            }
        }

        @Test("an exchange that went and came back without bindings gets them again, and no message is disturbed")
        func bindingsComeBack() throws {
            let lab = try Lab()
            let configuration = ConsumerConfiguration(
                broker: try lab.address, topology: lab.topology, prefetch: 5, batchSize: 2)
            let handling = EventHandling(
                function: Note(), database: Database(url: lab.url, application: "test"),
                process: .init(function: "note", routes: [], timeoutMilliseconds: 10_000, concurrency: 1))
            let stop = StopSignal()
            let consumer = Background {
                Consumer(configuration, handling, stop: stop, declareMilliseconds: 1).run()
            }
            defer { stop.raise() }
            try lab.write(500)
            let relay = try lab.relay.start()
            defer { relay.terminate() }
            try lab.audit()

            let exchange = "rabbit_misc:r(<<\"/\">>, exchange, <<\"\(lab.topology.exchange)\">>)"
            try Lab.broker.control("eval", "rabbit_exchange:delete(\(exchange), false, test).")
            let session = try Session(lab.address, name: "test", deadline: .soon)
            try session.declareExchange(lab.topology.exchange, deadline: .soon)
            let publisher = try Publisher(session, deadline: .soon)
            let parcel = Parcel(
                message: Message(messageID: "after", body: Array("{}".utf8)), exchange: lab.topology.exchange,
                routingKey: "ledger.x")
            try Eventually.happens("a queue for the event", within: 20) {
                try publisher.publish([parcel], deadline: .soon) == [.confirmed]
            }
            try Eventually.happens("its effect") {
                try lab.count("SELECT count(*) FROM effect WHERE event_id = 'after'") == 1
            }
            stop.raise()
            try consumer.value()
            #expect(try lab.deadLetters.list(deadline: .soon).isEmpty)
        }
    }
}
