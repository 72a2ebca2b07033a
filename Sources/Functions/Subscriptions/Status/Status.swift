import Events
import Postgres
import Runtime
import Subscriptions

/// `POST /subscription/{id}/status/`: activates, cancels or pauses a subscription, now or at another date.
@main
struct Status: HTTPFunction {
    private let store: SubscriptionStore

    init(_ settings: Settings) { store = SubscriptionStore(Database(settings), RelaySignal(settings)) }

    private struct Body: Decodable {
        let statusID: Field<Int>
        let effectDate: Field<String>
        let interval: Field<Int>
        let details: Field<String>

        enum CodingKeys: String, CodingKey {
            case statusID = "status_id"
            case effectDate = "effect_date"
            case interval, details
        }
    }

    private struct Response: Encodable {
        let subscriptionID: String
        let statusID: Int
        let effectDate: Timestamp
        let returnsAt: Timestamp?

        enum CodingKeys: String, CodingKey {
            case subscriptionID = "subscription_id"
            case statusID = "status_id"
            case effectDate = "effect_date"
            case returnsAt = "returns_at"
        }
    }

    func handle(_ event: HTTPEvent, _ context: Context) throws -> HTTPResponse {
        let subscription = try event.subscriptionID()
        let change = try change(try event.json(Body.self))
        let made = try store.changeStatus(
            of: subscription, to: change.status, effectDate: change.effectDate, returnAfterDays: change.days,
            details: change.details, cause: EventCause(context), deadline: context.deadline)
        return try .json(
            Response(
                subscriptionID: subscription, statusID: change.status, effectDate: made.effectDate,
                returnsAt: made.returnsAt))
    }

    private func change(
        _ body: Body
    ) throws -> (status: Int, effectDate: Timestamp?, days: Int?, details: String?) {
        var check = InputCheck()
        let status = check.choice(
            body.statusID, "/status_id", of: 1...3, "1 (active), 2 (cancelled) or 3 (paused)")
        let date = check.optional(body.effectDate, "/effect_date", EffectDate.expectation)
        let effectDate = date.flatMap { EffectDate.parse($0) }
        let wrongDate = "effect_date must be \(EffectDate.expectation)."
        if date != nil, effectDate == nil { check.fault("/effect_date", wrongDate) }
        let interval = "a whole number of days from 1 to 3650"
        let days = check.optional(body.interval, "/interval", interval)
        if let days, !(1...3650).contains(days) {
            check.fault("/interval", "interval must be \(interval).")
        } else if let date, let days, effectDate != nil, EffectDate.parse(date, adding: days) == nil {
            check.fault("/effect_date", wrongDate)
        }
        if days != nil, let status, status != StatusID.paused {
            check.fault("/interval", "interval goes with a pause (status_id 3) only.")
        }
        let details = check.optionalText(body.details, "/details", characters: 0...256)
        return (try check.finish(status), effectDate, days, details)
    }
}
