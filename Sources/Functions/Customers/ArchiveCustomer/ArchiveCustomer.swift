import Customers
import Events
import Postgres
import Runtime

/// `POST /api/v1/customers/{id}/archive`, and `DELETE /api/v1/customers/{id}`, which is the same: archives a customer.
@main
struct ArchiveCustomer: HTTPFunction {
    private let store: CustomerStore

    init(_ settings: Settings) { store = CustomerStore(Database(settings), RelaySignal(settings)) }

    func handle(_ event: HTTPEvent, _ context: Context) throws -> HTTPResponse {
        let customer = try store.archive(
            event.customerID(), if: Precondition(event), cause: EventCause(context), deadline: context.deadline)
        return try .customer(customer)
    }
}
