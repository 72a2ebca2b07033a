import Customers
import Postgres
import Runtime

/// `GET /api/v1/customers`: the customers, the newest first, page by page; all, or those that a search finds.
@main
struct ListCustomers: HTTPFunction {
    private let directory: CustomerDirectory

    init(_ settings: Settings) { directory = CustomerDirectory(Database(settings)) }

    func handle(_ event: HTTPEvent, _ context: Context) throws -> HTTPResponse {
        let list = try event.customerList()
        let page = try directory.page(
            of: list.selection, after: list.after, limit: list.limit, deadline: context.deadline)
        let response = try HTTPResponse.json(["customers": page.customers])
        guard let after = page.next else { return response }
        let parameters = [
            ("limit", String(list.limit)), ("search", list.selection.search),
            ("archived", list.selection.isArchived.map { String($0) }), ("after", after),
        ]
        let query = parameters.compactMap { name, value in value.map { "\(name)=\(PercentEncoding.encode($0))" } }
        return response.with(header: "Link", "<\(event.rawPath)?\(query.joined(separator: "&"))>; rel=\"next\"")
    }
}
