import Postgres
import Runtime
import Subscriptions

/// `GET /subscription/{id}`: its current status, next change, history and charges.
@main
struct Subscription: HTTPFunction {
    private let records: SubscriptionRecords

    init(_ settings: Settings) { records = SubscriptionRecords(Database(settings)) }

    func handle(_ event: HTTPEvent, _ context: Context) throws -> HTTPResponse {
        try .json(records.record(of: event.subscriptionID(), deadline: context.deadline))
    }
}
