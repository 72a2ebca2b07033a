import Customers
import Events
import Postgres
import Runtime

/// `POST /api/v1/customers`: creates a customer.
@main
struct CreateCustomer: HTTPFunction {
    private let store: CustomerStore

    init(_ settings: Settings) { store = CustomerStore(Database(settings), RelaySignal(settings)) }

    private struct Body: Decodable {
        let email: Field<String>
        let address: Field<AddressInput>
    }

    func handle(_ event: HTTPEvent, _ context: Context) throws -> HTTPResponse {
        let body = try event.json(Body.self)
        var check = InputCheck()
        let (email, address) = try check.finish(
            check.email(body.email, "/email"), check.address(body.address, "/address"))
        let customer = try store.create(
            email: email, address: address, cause: EventCause(context), deadline: context.deadline)
        return try .customer(customer, status: 201).with(header: "Location", "/api/v1/customers/\(customer.id)")
    }
}
