import Postgres
import Runtime

/// The read model: a row for each customer, as its events make it.
enum CustomerProjection {
    enum Table: String {
        case current = "customer"
        /// The one that shall take its place.
        case rebuilt = "customer_rebuilt"
    }

    /// Writes customers as they are now. A row of the same or a later version stays.
    static func write(
        _ customers: [Customer], in table: Table = .current, _ connection: Connection, deadline: Deadline
    ) throws {
        try connection.execute(
            """
            INSERT INTO \(unsafeText: table.rawValue) AS known
                (id, number, email, street, city, country, created_at, is_archived, purchased_at, version)
            SELECT * FROM unnest(
                \(customers.map { $0.id })::text[], \(customers.map { $0.number })::bigint[],
                \(customers.map { $0.email.text })::text[], \(customers.map { $0.address.street })::text[],
                \(customers.map { $0.address.city })::text[], \(customers.map { $0.address.country })::text[],
                \(customers.map { $0.createdAt })::timestamptz[], \(customers.map { $0.isArchived })::boolean[],
                \(customers.map { $0.purchasedAt })::timestamptz[], \(customers.map { $0.version })::bigint[])
            ON CONFLICT (id) DO UPDATE SET
                street = excluded.street, city = excluded.city, country = excluded.country,
                is_archived = excluded.is_archived, purchased_at = excluded.purchased_at, version = excluded.version
            WHERE known.version < excluded.version
            """, deadline: deadline)
    }

    /// Reads a row whose columns are those that `write` writes, in that order.
    static func customer(_ row: Row) throws -> Customer {
        let (id, number, email, street, city, country, createdAt, isArchived, purchasedAt, version) = try row.decode(
            String.self, Int.self, String.self, String.self, String.self, String.self, Instant.self, Bool.self,
            Instant?.self, Int.self)
        return Customer(
            id: id, number: number, email: EmailAddress(recorded: email),
            address: PostalAddress(street: street, city: city, country: country), createdAt: createdAt,
            isArchived: isArchived, purchasedAt: purchasedAt, version: version)
    }
}
