public import Postgres
public import Runtime

/// The customers as they are now, to look up, to list and to search.
public struct CustomerDirectory: Sendable {
    private let database: Database

    public init(_ database: Database) { self.database = database }

    /// - Throws: 404 `customer-not-found`.
    public func customer(_ id: String, deadline: Deadline) throws -> Customer {
        let rows = try database.execute(
            """
            SELECT id, number, email, street, city, country, created_at, is_archived, purchased_at, version
            FROM customer WHERE id = \(id)
            """, deadline: deadline)
        guard let row = rows.first else { throw CustomerProblem.notFound(id) }
        return try CustomerProjection.customer(row)
    }

    /// Which customers a list shows.
    public struct Selection: Sendable {
        /// Part of the email, street, city or country, in whatever case; not empty. `nil` for all.
        public let search: String?
        /// `nil` for both.
        public let isArchived: Bool?

        public init(search: String?, isArchived: Bool?) {
            self.search = search
            self.isArchived = isArchived
        }
    }

    public struct Page: Sendable {
        public let customers: [Customer]
        /// Where the next page goes on; `nil` for the last.
        public let next: String?
    }

    /// At most `limit` customers, the newest first.
    /// - Parameter after: `next` of the page before.
    /// - Throws: 400 when there is no such place in the list.
    public func page(of selection: Selection, after: String?, limit: Int, deadline: Deadline) throws -> Page {
        try database.withConnection(deadline: deadline) { connection in
            let before = try after.map { try number(of: $0, connection, deadline: deadline) }
            let found = try connection.execute(
                """
                SELECT c.id, c.number, c.email, c.street, c.city, c.country, c.created_at, c.is_archived,
                       c.purchased_at, c.version
                FROM customer_page(\(selection.search), \(selection.isArchived), \(before), \(limit + 1)) p (number)
                JOIN customer c ON c.number = p.number
                ORDER BY c.number DESC
                """, deadline: deadline
            ).map(CustomerProjection.customer)
            let customers = Array(found.prefix(limit))
            return Page(customers: customers, next: found.count > limit ? customers.last?.id : nil)
        }
    }

    /// What is wrong with an `after` that is the id of no customer.
    package static let noPlace = "after is not a place in this list: take it from the Link of the page before."

    private func number(of id: String, _ connection: Connection, deadline: Deadline) throws -> Int {
        let rows = try connection.execute("SELECT number FROM customer WHERE id = \(id)", deadline: deadline)
        guard let row = rows.first else {
            throw Problem.badRequest([.init(pointer: "/query/after", detail: Self.noPlace)])
        }
        return try row.decode(Int.self)
    }
}
