import Events
import Postgres
import Runtime

/// The streams of events in the database, read and written in the transaction that `connection` has open.
struct CustomerStream {
    let connection: Connection
    let deadline: Deadline

    /// The customer as its events say.
    /// - Returns: `nil` when there is no event of that stream.
    func customer(_ id: String) throws -> Customer? {
        let rows = try connection.execute(
            """
            SELECT stream, version, type, data, recorded_at FROM customer_event WHERE stream = \(id) ORDER BY version
            """, deadline: deadline)
        if rows.isEmpty { return nil }
        guard let customer = Customer.replay(try rows.map(Self.recorded)) else { throw InconsistentHistory(id) }
        return customer
    }

    /// Decides on what the customer is now, and appends the event that `decide` returns, if any. When another has
    /// appended first, it decides anew.
    /// - Returns: the customer afterwards and the event that led there; `nil` when there is no such customer.
    func change(
        _ id: String, cause: EventCause, _ decide: (Customer) throws -> CustomerEvent?
    ) throws -> (customer: Customer, event: CustomerEvent?)? {
        while !deadline.hasPassed {
            guard let customer = try customer(id) else { return nil }
            guard let event = try decide(customer) else { return (customer, nil) }
            if let next = try append(event, to: customer, cause: cause) { return (next, event) }
        }
        throw CustomerProblem.contended(id)
    }

    /// Appends the event after those that made `customer`, and keeps the read model.
    /// - Returns: the customer after it; `nil`, and nothing is done, when another has appended meanwhile.
    func append(_ event: CustomerEvent, to customer: Customer, cause: EventCause) throws -> Customer? {
        let next = customer.applying(event)
        let rows = try connection.execute(
            """
            INSERT INTO customer_event (stream, version, type, data, metadata, recorded_at)
            VALUES (\(next.id), \(next.version), \(event.kind.rawValue), \(JSON.text(EventData(event)))::jsonb,
                    \(JSON.text(cause))::jsonb, clock_timestamp())
            ON CONFLICT (stream, version) DO NOTHING
            """, deadline: deadline)
        guard rows.affected == 1 else { return nil }
        try CustomerProjection.write([next], connection, deadline: deadline)
        return next
    }

    /// Begins a stream whose id nobody has.
    func begin(
        _ id: String, number: Int, email: EmailAddress, address: PostalAddress, at instant: Instant, cause: EventCause
    ) throws -> Customer {
        let event = CustomerEvent.created(number: number, email: email, address: address)
        guard let customer = Customer(RecordedEvent(stream: id, version: 1, recordedAt: instant, event: event)) else {
            throw InconsistentHistory(id)
        }
        try connection.execute(
            """
            INSERT INTO customer_event (stream, version, type, data, metadata, recorded_at)
            VALUES (\(id), 1, \(event.kind.rawValue), \(JSON.text(EventData(event)))::jsonb,
                    \(JSON.text(cause))::jsonb, \(instant)::timestamptz)
            """, deadline: deadline)
        try CustomerProjection.write([customer], connection, deadline: deadline)
        return customer
    }

    /// Reads `stream, version, type, data, recorded_at`.
    static func recorded(_ row: Row) throws -> RecordedEvent {
        let (stream, version, type, data, recordedAt) = try row.decode(
            String.self, Int.self, String.self, String.self, Instant.self)
        guard let kind = CustomerEvent.Kind(rawValue: type),
            let event = try JSON.decode(EventData.self, from: Array(data.utf8)).event(kind)
        else { throw InconsistentHistory(stream) }
        return RecordedEvent(stream: stream, version: version, recordedAt: recordedAt, event: event)
    }
}

/// Events that do not make a customer: written by something else, or by a later version of this program.
struct InconsistentHistory: Error, CustomStringConvertible {
    let description: String
    init(_ id: String) { description = "the events of stream \(id) do not make a customer" }
}
