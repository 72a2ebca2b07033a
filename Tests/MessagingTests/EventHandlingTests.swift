import Events
import Postgres
import Testing

@testable import Messaging
@testable import Runtime

@Suite struct EventHandlingTests {
    private struct Anything: EventFunction {
        struct Payload: Decodable, Sendable {}

        init() {}
        init(_ settings: Settings) {}
        func handle(_ event: CloudEvent<Payload>, in transaction: Connection, _ context: Context) {}
    }

    @Test func anEventWhoseTimeIsOverBeforeTheDatabaseIsAskedHasFailed() {
        let handling = EventHandling(
            function: Anything(), database: Database(url: "postgresql://nobody@127.0.0.1:1/none", application: "test"),
            process: .init(function: "f", routes: [], timeoutMilliseconds: 0, concurrency: 1))
        let message = Message(messageID: "e", body: Array("{}".utf8))
        let event = ReceivedEvent(envelope: Envelope(message, routingKey: "x"), body: message.body, attempt: 0)
        #expect(handling.handle(event) == .failed(reason: "no time was left once its data was read"))
    }
}
