public import Postgres
public import Runtime

/// An event that a business transaction publishes.
public struct OutgoingEvent: Sendable {
    /// At most 64 characters; also the routing key.
    let type: String
    let subject: String
    let sequence: Int
    let data: String

    /// - Parameters:
    ///   - subject: the id of the aggregate, at most 64 characters; the events of one subject are published in the
    ///     order of their sequence.
    ///   - sequence: its place among the events of its subject, from 1, given out under the aggregate's own lock.
    /// - Throws: what `data` throws when it is encoded.
    public init(type: String, subject: String, sequence: Int, data: some Encodable) throws {
        self.type = type
        self.subject = subject
        self.sequence = sequence
        self.data = try JSON.text(data)
    }
}

/// The table of events that wait to be published, in the database of the service whose rows they are about.
public enum Outbox {
    /// Writes an event in the transaction that `connection` has open: it is published when that commits, and only then.
    /// Raise the service's ``RelaySignal`` after the commit.
    public static func append(
        _ event: OutgoingEvent, cause: EventCause, in connection: Connection, deadline: Deadline
    ) throws {
        try connection.execute(
            """
            INSERT INTO outbox (type, subject, sequence, data, traceparent, correlation_id, causation_id)
            VALUES (\(event.type), \(event.subject), \(event.sequence), \(event.data), \(cause.traceparent),
                    \(cause.correlationID), \(cause.causationID))
            """, deadline: deadline)
    }
}
