import Charging
import Events
import Postgres
import Runtime

/// Every minute: takes charges of unknown outcome out of doubt, by sending the order again under the same request id.
@main
struct SettleCharges: ScheduledFunction {
    private let database: Database
    private let desk: ChargeDesk

    init(_ settings: Settings) {
        database = Database(settings)
        // No charge is begun here, so no month is reckoned.
        let ledger = ChargeLedger(
            database, zone: "UTC", resend: ResendPolicy(settings), signal: RelaySignal(settings))
        desk = ChargeDesk(ledger: ledger, platform: Platform(settings))
    }

    struct Report: Encodable {
        let settled: SettlingReport?
        /// Why nothing was done; `nil` when it was.
        let skipped: String?

        /// - Parameter settled: `nil` when another process was elected.
        init(_ settled: SettlingReport?) {
            self.settled = settled
            skipped = settled == nil ? "another process has this tick, or is still at an earlier one" : nil
        }
    }

    func handle(_ event: ScheduledEvent, _ context: Context) throws -> Report {
        // By hand it runs whoever else does: a doubt is claimed by one run only.
        guard let interval = event.interval else { return Report(try desk.settle(context)) }
        return Report(
            try database.electing(
                name: context.functionName, everySeconds: interval, deadline: context.deadline
            ) {
                try desk.settle(context)
            })
    }
}
