import Charging
import Events
import Postgres
import Runtime
import Subscriptions

/// `POST /subscription/{id}/charge/{request_id}`: charges a subscription for this month through the platform, once.
@main
struct Charge: HTTPFunction {
    private let desk: ChargeDesk

    init(_ settings: Settings) {
        let ledger = ChargeLedger(
            Database(settings), zone: settings.text("BILLING_TIME_ZONE"),
            resend: ResendPolicy(settings), signal: RelaySignal(settings))
        desk = ChargeDesk(
            ledger: ledger, platform: Platform(settings),
            timeLimitMilliseconds: settings.timeoutMilliseconds)
    }

    func handle(_ event: HTTPEvent, _ context: Context) throws -> HTTPResponse {
        let subscription = try event.subscriptionID()
        let requestID = try event.platformRequestID()
        let charged = try desk.charge(subscription: subscription, requestID: requestID, context)
        let response = HTTPResponse.json(bytes: charged.receipt.json)
        return charged.isReplay ? response.with(header: "Idempotent-Replayed", "true") : response
    }
}
