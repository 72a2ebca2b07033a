import Events
import Messaging
import Postgres
import Runtime

/// A consumer for tests: every effect is a row of `effect`, whose place says in which order they came.
///
/// Data may name a `mode`; while the table `broken` holds that mode, the event fails in its way.
@main
struct LedgerConsumer: EventFunction {
    struct Entry: Decodable, Sendable {
        let mode: String?
    }

    struct Refusal: Error {
        let requestID: String
        let traceparent: String
    }

    init(_ settings: Settings) {}

    func handle(_ event: CloudEvent<Entry>, in transaction: Connection, _ context: Context) throws {
        try transaction.execute(
            """
            INSERT INTO effect (event_id, subject, sequence, request_id)
            VALUES (\(event.id), \(event.subject), \(event.sequence), \(context.requestID))
            """, deadline: context.deadline)
        guard let mode = event.data.mode else { return }
        let isBroken = try transaction.execute(
            "SELECT EXISTS (SELECT FROM broken WHERE mode = \(mode))", deadline: context.deadline)[0]
        guard try isBroken.decode(Bool.self) else { return }
        switch mode {
        case "throw": throw Refusal(requestID: context.requestID, traceparent: context.traceparent)
        case "give-up": throw PermanentFault("the ledger takes no such entry")
        case "trap": fatalError("trapped by event \(event.id)")
        default: return
        }
    }
}
