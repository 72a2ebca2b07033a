public import Events
public import Postgres
public import Runtime

/// What can be done about customers. Each call is one transaction: the events appended, the read model, the claim of the
/// email and the events to publish are committed together or not at all.
public struct CustomerStore: Sendable {
    private let database: Database
    private let signal: RelaySignal

    /// - Parameter signal: raised after each commit that has something to publish.
    public init(_ database: Database, _ signal: RelaySignal) {
        self.database = database
        self.signal = signal
    }

    /// Creates a customer.
    /// - Throws: 409 `email-taken` when a customer has the email in whatever case, archived or not.
    public func create(
        email: EmailAddress, address: PostalAddress, cause: EventCause, deadline: Deadline
    ) throws -> Customer {
        let id = Identifier.uuid()
        let created = try database.transaction(deadline: deadline) { connection in
            // The key decides a race. The number and the time are given out only to the one who has won.
            let claims = try connection.execute(
                """
                INSERT INTO email_claim (email, customer_id) VALUES (\(email.key), \(id))
                ON CONFLICT (email) DO NOTHING RETURNING nextval('customer_number'), clock_timestamp()
                """, deadline: deadline)
            guard let claim = claims.first else { throw CustomerProblem.emailTaken }
            let (number, now) = try claim.decode(Int.self, Instant.self)
            let customer = try CustomerStream(connection: connection, deadline: deadline)
                .begin(id, number: number, email: email, address: address, at: now, cause: cause)
            let event = try PublishedEvent.created(customer)
            try Outbox.append(event, cause: cause, in: connection, deadline: deadline)
            return customer
        }
        signal.raise()
        return created
    }

    /// Replaces the address. The same address again changes nothing.
    /// - Throws: 404 `customer-not-found`, 409 `customer-archived`, 412 `precondition-failed`.
    public func updateAddress(
        of id: String, to address: PostalAddress, if condition: Precondition, cause: EventCause, deadline: Deadline
    ) throws -> Customer {
        try change(id, condition, cause, deadline) { customer in try customer.moving(to: address) }
    }

    /// Archives a customer, for ever; the email stays taken. Once archived it changes nothing.
    /// - Throws: 404 `customer-not-found`, 412 `precondition-failed`.
    public func archive(
        _ id: String, if condition: Precondition, cause: EventCause, deadline: Deadline
    ) throws -> Customer {
        try change(id, condition, cause, deadline) { customer in customer.archiving() }
    }

    private func change(
        _ id: String, _ condition: Precondition, _ cause: EventCause, _ deadline: Deadline,
        _ decide: (Customer) throws -> CustomerEvent?
    ) throws -> Customer {
        let changed = try database.transaction(deadline: deadline) { connection in
            let stream = CustomerStream(connection: connection, deadline: deadline)
            let change = try stream.change(id, cause: cause) { customer in
                try condition.check(customer)
                return try decide(customer)
            }
            guard let change else { throw CustomerProblem.notFound(id) }
            if let event = try change.event.flatMap({ try PublishedEvent.event(for: $0, change.customer) }) {
                try Outbox.append(event, cause: cause, in: connection, deadline: deadline)
            }
            return change
        }
        if changed.event != nil { signal.raise() }
        return changed.customer
    }
}
