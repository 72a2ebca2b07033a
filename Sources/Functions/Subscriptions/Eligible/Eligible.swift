import Postgres
import Runtime
import Subscriptions

/// `GET /subscription/eligible`: the ids of all subscriptions that may be charged now; pages with `limit` and `after`.
@main
struct Eligible: HTTPFunction {
    private let eligibility: Eligibility

    init(_ settings: Settings) { eligibility = Eligibility(Database(settings)) }

    func handle(_ event: HTTPEvent, _ context: Context) throws -> HTTPResponse {
        let after = event.query("after")
        guard let limit = try limit(event, after: after) else {
            return HTTPResponse(
                headers: [("Content-Type", "application/json")],
                body: .stream { [eligibility] in try eligibility.writeAll(to: $0, deadline: context.deadline) })
        }
        // One more, to know whether there is another page.
        let ids = try eligibility.page(after: after, limit: limit + 1, deadline: context.deadline)
        let page = try HTTPResponse.json(Array(ids.prefix(limit)))
        guard ids.count > limit else { return page }
        let last = ids[limit - 1]
        return page.with(next: "\(event.rawPath)?limit=\(limit)&after=\(PercentEncoding.encode(last))")
    }

    /// `nil` for the bare call, which wants everything.
    private func limit(_ event: HTTPEvent, after: String?) throws -> Int? {
        var check = InputCheck()
        if let after, after.utf8.contains(0) || !(1...36).contains(after.unicodeScalars.count) {
            check.fault("/query/after", "after must be the last id of the page before: 1 to 36 characters.")
        }
        guard let text = event.query("limit") else {
            if after != nil { check.fault("/query/limit", "after goes with limit: give both, or neither for all.") }
            try check.finish()
            return nil
        }
        return try check.finish(check.limit(text, in: 1...10_000))
    }
}
