import Events
import Runtime

/// One event handled by hand.
struct OneEvent<F: EventFunction>: Sendable {
    let handling: EventHandling<F>

    /// Longest event, in bytes: the longest body that a broker takes, unless it is configured otherwise, and room for the
    /// attributes.
    private static var limit: Int { 129 << 20 }

    private struct Report: Encodable {
        let event: String
        let result: String
    }

    /// Handles the event on standard input, and prints what came of it.
    /// - Returns: the exit status: 0, 1 when the handler failed, 64 when there is no event.
    func run() -> Int32 {
        let event: ReceivedEvent
        let data: F.Payload
        do {
            (event, data) = try decode(EventFile.read(limit: Self.limit))
        } catch let fault as EventFile.TooLong {
            return EventFile.refuse(handling.process, fault.description)
        } catch {
            return EventFile.refuse(
                handling.process,
                """
                The event must be a CloudEvents object such as {"specversion": "1.0", "id": "…", "type": "…", \
                "source": "…", "data": {…}}: \((error as? PermanentFault)?.reason ?? DecodingFault(error).sentence)
                """)
        }
        switch handling.handle(event, data: data) {
        case .done: return report(event, "done")
        case .repeated: return report(event, "repeated")
        case .failed, .hopeless: return 1
        case .databaseAway(let reason, _):
            OutageLog(function: handling.process.function).failed(reason)
            return 1
        }
    }

    private func report(_ event: ReceivedEvent, _ result: String) -> Int32 {
        let report = try? JSON.encode(Report(event: event.envelope.id, result: result))
        return report.map(EventFile.report) ?? 1
    }

    /// CloudEvents has a text there; a whole number is taken too. Another text is not a number, as in a message.
    private struct SequenceNumber: Decodable {
        let number: Int?

        init(from decoder: any Decoder) throws {
            let value = try decoder.singleValueContainer()
            if let number = try? value.decode(Int.self) {
                self.number = number
            } else {
                number = Int(try value.decode(String.self))
            }
        }
    }

    /// Structured mode.
    private struct Event: Decodable {
        let specversion: String
        let id: String
        let type: String
        let source: String
        let subject: String?
        let time: String?
        let sequence: SequenceNumber?
        let traceparent: String?
        let correlationid: String?
        let causationid: String?
        let data: F.Payload
    }

    private func decode(_ text: [UInt8]) throws -> (ReceivedEvent, F.Payload) {
        if let place = JSONSyntax.fault(in: text) {
            throw PermanentFault("it \(JSONSyntax.complaint), see byte \(place), counted from 0")
        }
        let event = try JSON.decode(Event.self, from: text)
        guard event.specversion == "1.0" else {
            throw PermanentFault("specversion is \(event.specversion), not 1.0")
        }
        guard !event.id.isEmpty, !event.type.isEmpty else { throw PermanentFault("id or type is empty") }
        let received = ReceivedEvent(
            envelope: Envelope(
                id: event.id, type: event.type, source: event.source, subject: event.subject,
                time: event.time, sequence: event.sequence?.number,
                cause: EventCause(
                    checking: event.traceparent, correlationID: event.correlationid,
                    causationID: event.causationid)),
            body: [], attempt: 0)
        return (received, event.data)
    }
}
