public import Events
public import Postgres
public import Runtime

/// An order that was completed, as whoever completes orders says: the data of `order.completed`.
public struct CompletedOrder: Decodable, Sendable {
    let email: String
    let createdAt: String
    let order: Order

    /// - Parameter createdAt: when it was placed, in RFC 3339.
    public init(id: String, email: String, createdAt: String) {
        (self.email, self.createdAt, order) = (email, createdAt, Order(id: id))
    }

    struct Order: Decodable, Sendable {
        let id: String

        enum CodingKeys: String, CodingKey { case id }

        init(id: String) { self.id = id }

        /// The id may be a text, or a whole number of 64 bits.
        init(from decoder: any Decoder) throws {
            let members = try decoder.container(keyedBy: CodingKeys.self)
            if let number = try? members.decode(Int.self, forKey: .id) {
                id = String(number)
            } else {
                do {
                    id = try members.decode(String.self, forKey: .id)
                } catch DecodingError.typeMismatch {
                    throw DecodingError.dataCorruptedError(
                        forKey: .id, in: members,
                        debugDescription: "order.id must be a text, or a whole number of at most 64 bits.")
                }
            }
        }
    }

    enum CodingKeys: String, CodingKey {
        case order
        case email = "customer_email"
        case createdAt = "order_created_at"
    }
}

extension CompletedOrder {
    /// Longest id of an order, in characters: it is kept as long as its customer.
    private static let idLimit = 128

    /// An event that can never be taken, with the reason.
    public struct Unusable: Error, CustomStringConvertible {
        public let description: String
    }

    /// Remembers the order's time as the customer's last purchase, unless a later order is known. Nothing is
    /// published.
    /// - Parameters:
    ///   - cause: the event that brought it.
    ///   - connection: has a transaction open.
    /// - Throws: `Unusable` for a time that is none, a NUL character or an order's id that is too long; `UnknownCustomer`
    ///   when no customer has the email, which may change.
    public func record(cause: EventCause, in connection: Connection, deadline: Deadline) throws {
        guard let instant = Instant(createdAt) else {
            throw Unusable(description: "order_created_at must be \(Instant.expectation), not “\(createdAt)”")
        }
        guard !email.utf8.contains(0), !order.id.utf8.contains(0) else {
            throw Unusable(description: "customer_email and the order's id must hold no NUL character")
        }
        // As JSON Schema counts: code points.
        let length = order.id.unicodeScalars.count
        guard length <= Self.idLimit else {
            throw Unusable(description: "order.id has \(length) characters: it must have at most \(Self.idLimit)")
        }
        let found = try connection.execute(
            "SELECT customer_id FROM email_claim WHERE email = \(EmailAddress.key(email))", deadline: deadline)
        guard let row = found.first else { throw UnknownCustomer() }
        _ = try CustomerStream(connection: connection, deadline: deadline)
            .change(row.decode(String.self), cause: cause) { customer in customer.buying(at: instant, order: order.id) }
    }
}
