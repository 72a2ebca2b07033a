import Runtime

/// A customer: what follows from the events of one stream, and what may happen next.
public struct Customer: Sendable, Equatable {
    public let id: String
    /// Counts the customers in the order in which they came.
    let number: Int
    public let email: EmailAddress
    public internal(set) var address: PostalAddress
    public let createdAt: Instant
    public internal(set) var isArchived = false
    /// The time of the latest order that was completed; `nil` until the first.
    public internal(set) var purchasedAt: Instant?
    /// How many events there are.
    public internal(set) var version: Int
}

// MARK: What follows from what happened

extension Customer {
    /// The customer that the first event of a stream makes; `nil` for any other event.
    init?(_ first: RecordedEvent) {
        guard case .created(let number, let email, let address) = first.event, first.version == 1 else { return nil }
        self.init(
            id: first.stream, number: number, email: email, address: address, createdAt: first.recordedAt, version: 1)
    }

    /// The customer after the next event.
    func applying(_ event: CustomerEvent) -> Customer {
        var next = self
        next.version += 1
        switch event {
        case .created: break
        case .addressUpdated(let address): next.address = address
        case .archived: next.isArchived = true
        case .purchased(let instant, _): next.purchasedAt = instant
        }
        return next
    }

    /// The customer after the next recorded event of its stream; `nil` when that is not the next.
    /// - Parameter known: the customer before it; `nil` when there was none.
    static func following(_ known: Customer?, _ recorded: RecordedEvent) -> Customer? {
        guard let known else { return Customer(recorded) }
        return recorded.version == known.version + 1 ? known.applying(recorded.event) : nil
    }

    /// The customer whose stream this is, from its first event on and without a gap; `nil` when it is not such.
    static func replay(_ stream: some Sequence<RecordedEvent>) -> Customer? {
        var customer: Customer?
        for recorded in stream {
            customer = following(customer, recorded)
            if customer == nil { return nil }
        }
        return customer
    }
}

// MARK: What may happen next: the event that a command leads to, `nil` when it changes nothing

extension Customer {
    /// - Throws: 409 `customer-archived`.
    func moving(to address: PostalAddress) throws(Problem) -> CustomerEvent? {
        guard !isArchived else { throw CustomerProblem.archived(id) }
        return address == self.address ? nil : .addressUpdated(address)
    }

    func archiving() -> CustomerEvent? { isArchived ? nil : .archived }

    /// An order that was completed is a fact, also about a customer who has been archived since. Orders come in any
    /// order and more than once: the latest counts.
    func buying(at instant: Instant, order: String?) -> CustomerEvent? {
        if let purchasedAt, purchasedAt >= instant { return nil }
        return .purchased(at: instant, order: order)
    }
}

extension Customer: Encodable {
    private enum CodingKeys: String, CodingKey {
        case id, email, address
        case createdAt = "created_at"
        case isArchived = "is_archived"
        case purchasedAt = "purchased_at"
    }

    public func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(id, forKey: .id)
        try members.encode(email.text, forKey: .email)
        try members.encode(address, forKey: .address)
        try members.encode(createdAt, forKey: .createdAt)
        try members.encode(isArchived, forKey: .isArchived)
        // Null until the first order, never absent.
        try members.encode(purchasedAt, forKey: .purchasedAt)
    }
}
