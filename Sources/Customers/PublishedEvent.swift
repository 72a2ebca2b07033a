import Events

/// What other services hear of customers, in the words of the contract. A purchase is not published: it came from
/// outside.
enum PublishedEvent {
    /// The data of `customer.created`.
    struct Created: Encodable {
        let id: String
        let email: String
        let address: PostalAddress
    }

    /// The data of `customer.address_updated` and `customer.archived`: the customer afterwards.
    struct Changed: Encodable {
        let customer: Customer
    }

    static func created(_ customer: Customer) throws -> OutgoingEvent {
        let data = Created(id: customer.id, email: customer.email.text, address: customer.address)
        return try OutgoingEvent(
            type: CustomerEvent.Kind.created.rawValue, subject: customer.id, sequence: customer.version, data: data)
    }

    /// - Parameter customer: as it is after the event.
    /// - Returns: `nil` for an event that nobody hears of.
    static func event(for event: CustomerEvent, _ customer: Customer) throws -> OutgoingEvent? {
        switch event {
        case .created: try created(customer)
        case .addressUpdated, .archived:
            try OutgoingEvent(
                type: event.kind.rawValue, subject: customer.id, sequence: customer.version,
                data: Changed(customer: customer))
        case .purchased: nil
        }
    }
}
