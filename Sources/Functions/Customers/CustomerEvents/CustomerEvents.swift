import Customers
import Postgres
import Runtime

/// `GET /api/v1/customers/{id}/events`: everything that ever happened to a customer, in order.
@main
struct CustomerEvents: HTTPFunction {
    private let history: CustomerHistory

    init(_ settings: Settings) { history = CustomerHistory(Database(settings)) }

    func handle(_ event: HTTPEvent, _ context: Context) throws -> HTTPResponse {
        try .json(["events": history.entries(of: event.customerID(), deadline: context.deadline)])
    }
}
