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
        return response.with(next: "\(event.rawPath)?\(query.joined(separator: "&"))")
    }
}

extension HTTPEvent {
    /// The selection and paging of a list: `search`, `archived`, `limit` (default 20) and `after`.
    /// - Throws: 400 with everything that is wrong.
    fileprivate func customerList() throws(Problem) -> (
        selection: CustomerDirectory.Selection, limit: Int, after: String?
    ) {
        var check = InputCheck()
        let search = query("search")?.trimmingWhitespace()
        if let search, search.unicodeScalars.count > 254 || !search.isOneLine {
            check.fault("/query/search", "search must be a text of at most 254 characters without control characters.")
        }
        let archived = query("archived").flatMap { $0.isEmpty ? nil : $0 }
        if let archived, !["true", "false"].contains(archived) {
            check.fault("/query/archived", "archived must be true or false.")
        }
        let limit = check.limit(query("limit") ?? "20", in: 1...100)
        let after = query("after")
        if let after, after.utf8.count > 36 || after.utf8.contains(0) {
            check.fault("/query/after", CustomerDirectory.noPlace)
        }
        let selection = CustomerDirectory.Selection(
            search: search.flatMap { $0.isEmpty ? nil : $0 }, isArchived: archived.map { $0 == "true" })
        return (selection, try check.finish(limit), after)
    }
}
