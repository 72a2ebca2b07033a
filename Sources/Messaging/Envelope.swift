import Digests
import Events
import Runtime

/// The attributes of CloudEvents 1.0, as headers of an AMQP message (binary mode): `cloudEvents_id` and so on. What
/// others wrote as `cloudEvents:id` is read as well.
struct Envelope: Sendable {
    let id: String
    let type: String
    let source: String
    let subject: String?
    let time: String?
    let sequence: Int?
    let cause: EventCause

    /// Longest id that the inbox keeps, in characters.
    static let idLimit = 128
}

extension Envelope {
    /// Reads the attributes of a message. One without an id is told from others by its `message_id`, and without that by
    /// its body, so that it is the same event when it comes again. In place of an id that is not UTF-8 stands its digest.
    init(_ message: Message, routingKey: String) {
        func header(_ name: String) -> Message.Header? {
            message.headers[Self.prefix + name] ?? message.headers["cloudEvents:" + name]
        }
        func attribute(_ name: String) -> String? { header(name).flatMap { $0.text.isEmpty ? nil : $0.text } }
        var ownID = attribute("id")
        if case .bytes(let bytes) = header("id") { ownID = Self.digest(bytes) }
        id = ownID ?? message.messageID.flatMap { $0.isEmpty ? nil : $0 } ?? Self.digest(message.body)
        type = attribute("type") ?? message.type ?? routingKey
        source = attribute("source") ?? ""
        subject = attribute("subject")
        time = attribute("time")
        sequence = attribute("sequence").flatMap { Int($0) }
        cause = EventCause(
            checking: attribute("traceparent"), correlationID: attribute("correlationid"),
            causationID: attribute("causationid"))
    }

    /// Whether its type can be a routing key, which has 255 bytes at most. No queue can be bound to a longer one.
    var fitsRoutingKey: Bool { type.utf8.count <= 255 }

    /// The message that carries an event; `data` is JSON.
    func message(data: String) -> Message {
        var headers: [String: Message.Header] = ["\(Self.prefix)specversion": .text("1.0")]
        let attributes = [
            "id": id, "type": type, "source": source, "subject": subject, "time": time,
            "sequence": sequence.map { String($0) }, "traceparent": cause.traceparent,
            "correlationid": cause.correlationID, "causationid": cause.causationID,
        ]
        for case (let name, let value?) in attributes { headers[Self.prefix + name] = .text(value) }
        return Message(
            headers: headers, messageID: id, contentType: "application/json", type: type, body: Array(data.utf8))
    }

    /// A copy of a message that says of itself what so far only its way said: it keeps its identity on any other way.
    func stamped(_ message: Message) -> Message {
        var copy = message.copy()
        copy.headers[Self.prefix + "id"] = .text(id)
        copy.headers[Self.prefix + "type"] = .text(type)
        copy.messageID = copy.messageID ?? (id.utf8.count < 256 ? id : nil)
        return copy
    }

    private static let prefix = "cloudEvents_"

    static func digest(_ bytes: [UInt8]) -> String { "sha256:" + Hexadecimal.encode(Digest.sha256(bytes)) }
}

extension EventCause {
    /// As somebody else tells it, without the trace and the correlation that cannot be passed on.
    init(checking traceparent: String?, correlationID: String?, causationID: String?) {
        self.init(
            traceparent: traceparent.flatMap { Identifier.isTraceparent($0) ? $0 : nil },
            correlationID: correlationID.flatMap { Identifier.isValidRequestID($0) ? $0 : nil },
            causationID: causationID)
    }
}

extension Message {
    private static let attemptHeader = "taproom-attempt"
    private static let errorHeader = "taproom-error"

    /// How often a consumer has tried it and failed.
    var attempt: Int {
        guard case .integer(let attempt) = headers[Self.attemptHeader] else { return 0 }
        return min(max(0, attempt), 1000)
    }

    /// Why the last attempt failed.
    var error: String? { headers[Self.errorHeader]?.text }

    mutating func note(attempt: Int, error: String) {
        headers[Self.attemptHeader] = .integer(attempt)
        // A character may be of any length.
        headers[Self.errorHeader] = .text(String(error.unicodeScalars.prefix(1000)))
    }

    mutating func forgetAttempts() {
        headers[Self.attemptHeader] = nil
        headers[Self.errorHeader] = nil
    }
}
