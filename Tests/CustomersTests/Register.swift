import Events
import Migrations
import Postgres
import Runtime
import Synchronization
import TestSupport
import Testing

@testable import Customers

/// A customers database of its own, migrated to head.
final class Register: Sendable {
    let url: String
    let database: Database
    let store: CustomerStore
    let directory: CustomerDirectory
    private let counter = Atomic<Int>(0)

    convenience init() throws {
        try self.init(url: PostgresServer.shared.migratedDatabase("customers"))
    }

    /// - Parameter url: a database that is at head.
    init(url: String) {
        self.url = url
        database = Database(url: url, application: "test")
        store = CustomerStore(database, RelaySignal(Settings([:])))
        directory = CustomerDirectory(database)
    }

    func migrator() throws -> Migrator { try PostgresServer.shared.migrator("customers", at: url) }

    func session() throws -> Connection {
        try Connection(url: url, application: "test", options: ["timezone": "UTC"], deadline: .soon)
    }

    @discardableResult
    func run(_ sql: SQL) throws -> Rows { try database.execute(sql, deadline: .soon) }

    func count(_ sql: SQL) throws -> Int { try run(sql)[0].decode(Int.self) }

    func texts(_ sql: SQL) throws -> [String] { try run(sql).map { try $0.decode(String.self) } }

    // MARK: Commands, with a cause that is always the same

    static let cause = EventCause(
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", correlationID: "request",
        causationID: "request")

    /// An email that no other customer of this register has.
    func freshEmail() -> String { "customer\(counter.wrappingAdd(1, ordering: .relaxed).newValue)@example.com" }

    func create(_ email: String? = nil, _ address: PostalAddress = .home) throws -> Customer {
        let email = try #require(EmailAddress(email ?? freshEmail()))
        return try store.create(email: email, address: address, cause: Self.cause, deadline: .soon)
    }

    func move(_ id: String, _ address: PostalAddress, if condition: Precondition = .none) throws -> Customer {
        try store.updateAddress(of: id, to: address, if: condition, cause: Self.cause, deadline: .soon)
    }

    func archive(_ id: String, if condition: Precondition = .none) throws -> Customer {
        try store.archive(id, if: condition, cause: Self.cause, deadline: .soon)
    }

    /// In a transaction of its own, as a consumer would.
    func buy(_ email: String, at time: String, order: String = "order") throws {
        let order = CompletedOrder(id: order, email: email, createdAt: time)
        try database.transaction(deadline: .soon) { connection in
            try order.record(cause: Self.cause, in: connection, deadline: .soon)
        }
    }

    func customer(_ id: String) throws -> Customer { try directory.customer(id, deadline: .soon) }

    /// The stream's customer, folded from its events.
    func folded(_ id: String) throws -> Customer? {
        try database.withConnection(deadline: .soon) { connection in
            try CustomerStream(connection: connection, deadline: .soon).customer(id)
        }
    }

    /// Page after page until there is none.
    func list(_ search: String? = nil, archived: Bool? = nil, limit size: Int = 100) throws -> [[Customer]] {
        var pages: [[Customer]] = []
        var after: String?
        repeat {
            let page = try directory.page(
                of: .init(search: search, isArchived: archived), after: after, limit: size, deadline: .soon)
            pages.append(page.customers)
            after = page.next
        } while after != nil
        return pages
    }

    /// The emails of all that a search finds.
    func found(_ search: String, archived: Bool? = nil) throws -> Set<String> {
        Set(try list(search, archived: archived).joined().map { $0.email.text })
    }
}

extension PostalAddress {
    static let home = PostalAddress(street: "Hopfengasse 1", city: "München", country: "Germany")
    static let away = PostalAddress(street: "Rua das Cervejas 2", city: "São Paulo", country: "Brazil")
    static func numbered(_ number: Int) -> PostalAddress {
        PostalAddress(street: "Brewer Street \(number)", city: "London", country: "United Kingdom")
    }
}
