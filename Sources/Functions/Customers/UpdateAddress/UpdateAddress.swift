import Customers
import Events
import Postgres
import Runtime

/// `PUT /api/v1/customers/{id}/address`: replaces a customer's address.
@main
struct UpdateAddress: HTTPFunction {
    private let store: CustomerStore

    init(_ settings: Settings) { store = CustomerStore(Database(settings), RelaySignal(settings)) }

    func handle(_ event: HTTPEvent, _ context: Context) throws -> HTTPResponse {
        let id = try event.customerID()
        let body = try event.json(AddressInput.self)
        var check = InputCheck()
        let address = try check.finish(check.address(body))
        let customer = try store.updateAddress(
            of: id, to: address, if: Precondition(event), cause: EventCause(context), deadline: context.deadline)
        return try .customer(customer)
    }
}
