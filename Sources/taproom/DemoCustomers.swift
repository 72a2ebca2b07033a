import Customers
import Events
import Postgres
import Runtime

/// The customers of `taproom demo`. They come about as any other does, so that their events are there and published.
struct DemoCustomers {
    private let database: Database
    private let store: CustomerStore
    private let cause = EventCause(traceparent: nil, correlationID: "taproom-demo", causationID: nil)

    init(_ database: Database) {
        self.database = database
        // The relay finds the events by itself.
        store = CustomerStore(database, RelaySignal(Settings([:])))
    }

    private static let tastes = ["barley", "hops", "malt", "yeast", "amber", "porter", "saison", "pilsner"]
    private static let places = [
        ("Hopfengasse", "München", "Germany"), ("Rua das Cervejas", "São Paulo", "Brazil"),
        ("Brewer Street", "London", "United Kingdom"), ("Via della Birra", "Roma", "Italy"),
        ("Rue du Houblon", "Bruxelles", "Belgium"),
    ]

    /// Creates those that are missing; each seventh has moved since, each eleventh is archived, every other has bought.
    /// - Returns: how many customers there are, and how many of them are new.
    func fill(deadline: Deadline) throws -> (all: Int, new: Int) {
        var new = 0
        for number in 1...40 {
            let name = "\(Self.tastes[number % Self.tastes.count]).\(number)@example.com"
            guard let email = EmailAddress(name) else { continue }
            do {
                let customer = try store.create(
                    email: email, address: address(number), cause: cause, deadline: deadline)
                try live(customer, number, deadline)
                new += 1
            } catch let problem as Problem where problem.slug == CustomerProblem.emailTaken.slug {
                continue
            }
        }
        return (
            try database.execute("SELECT count(*) FROM customer", deadline: deadline)[0].decode(Int.self), new
        )
    }

    private func live(_ customer: Customer, _ number: Int, _ deadline: Deadline) throws {
        if number % 2 == 0 {
            let day = number % 28 + 1
            let order = CompletedOrder(
                id: "demo-\(number)", email: customer.email.text,
                createdAt: "2026-10-\(day < 10 ? "0" : "")\(day)T12:00:00Z")
            try database.transaction(deadline: deadline) { try order.record(cause: cause, in: $0, deadline: deadline) }
        }
        if number % 7 == 0 {
            _ = try store.updateAddress(
                of: customer.id, to: address(number + 1), if: .none, cause: cause, deadline: deadline)
        }
        if number % 11 == 0 { _ = try store.archive(customer.id, if: .none, cause: cause, deadline: deadline) }
    }

    private func address(_ number: Int) -> PostalAddress {
        let (street, city, country) = Self.places[number % Self.places.count]
        return PostalAddress(street: "\(street) \(number)", city: city, country: country)
    }
}
