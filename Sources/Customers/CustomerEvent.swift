/// What can happen to a customer.
enum CustomerEvent: Sendable, Equatable {
    case created(number: Int, email: EmailAddress, address: PostalAddress)
    case addressUpdated(PostalAddress)
    case archived
    /// An order of theirs was completed that was placed after every one before.
    case purchased(at: Instant, order: String?)
}

/// An event as the stream keeps it.
struct RecordedEvent: Sendable {
    /// The customer's id.
    let stream: String
    /// Its place in the stream, from 1.
    let version: Int
    let recordedAt: Instant
    let event: CustomerEvent
}

extension CustomerEvent {
    enum Kind: String {
        case created = "customer.created"
        case addressUpdated = "customer.address_updated"
        case archived = "customer.archived"
        case purchased = "customer.purchased"
    }

    var kind: Kind {
        switch self {
        case .created: .created
        case .addressUpdated: .addressUpdated
        case .archived: .archived
        case .purchased: .purchased
        }
    }
}

/// The data of an event in its stream, whatever its kind.
struct EventData: Codable {
    var number: Int?
    var email: String?
    var address: PostalAddress?
    var purchasedAt: String?
    var order: String?

    enum CodingKeys: String, CodingKey {
        case number, email, address, order
        case purchasedAt = "purchased_at"
    }

    init(_ event: CustomerEvent) {
        switch event {
        case .created(let number, let email, let address):
            (self.number, self.email, self.address) = (number, email.text, address)
        case .addressUpdated(let address): self.address = address
        case .archived: break
        case .purchased(let instant, let order): (purchasedAt, self.order) = (instant.text, order)
        }
    }

    /// The event of that kind; `nil` when something of it is missing.
    func event(_ kind: CustomerEvent.Kind) -> CustomerEvent? {
        switch kind {
        case .created:
            guard let number, let email, let address else { return nil }
            return .created(number: number, email: EmailAddress(recorded: email), address: address)
        case .addressUpdated: return address.map { .addressUpdated($0) }
        case .archived: return .archived
        case .purchased: return purchasedAt.flatMap { Instant($0) }.map { .purchased(at: $0, order: order) }
        }
    }
}
