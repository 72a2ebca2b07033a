import Customers
import Postgres
import Runtime

/// `GET /api/v1/customers/{id}`: a customer as it is now.
@main
struct GetCustomer: HTTPFunction {
    private let directory: CustomerDirectory

    init(_ settings: Settings) { directory = CustomerDirectory(Database(settings)) }

    func handle(_ event: HTTPEvent, _ context: Context) throws -> HTTPResponse {
        try .customer(directory.customer(event.customerID(), deadline: context.deadline))
    }
}
