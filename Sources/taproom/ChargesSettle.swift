import ArgumentParser
import Foundation
import Instance
import Operations
import Runtime

struct ChargesSettle: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settle",
        abstract: "Records what came of a charge in doubt, after you have looked at the platform yourself.",
        discussion: """
            --charged keeps the order and the subscription is not charged again for that month; --not-charged lets the \
            next request of that month charge it, and leaves a month that is over uncharged: no request is for a past \
            month. Both stay on record with who and why. The request id of a charge may change until it is settled, so \
            --not-charged takes the one whose order you looked for, and refuses when the charge has another one by now.
            """)

    @Argument(help: "The number of a charge (also as charge:12), or the id of a subscription with one charge in doubt.")
    var id: String

    @Option(help: ArgumentHelp("The platform made the order: its JSON or its id.", valueName: "order"))
    var charged: String?

    @Flag(help: "The platform made no order and never will.")
    var notCharged = false

    @Option(
        name: .customLong("request"),
        help: ArgumentHelp("The request id that you looked for; --not-charged needs it.", valueName: "id"))
    var requestID: String?

    @Option(help: "Who says so. (default: the login name)")
    var who: String?

    @Option(help: "How it is known.")
    var why: String

    func validate() throws {
        guard (charged != nil) != notCharged else {
            throw ValidationError("say what came of the charge: either --charged ORDER or --not-charged")
        }
        guard !notCharged || requestID != nil else {
            throw ValidationError(
                "--not-charged needs --request ID, the request id whose order you looked for; taproom charges show \(id) "
                    + "tells which one is in doubt")
        }
        for (option, text, limit) in [("--who", who ?? "", 128), ("--why", why, 1024)] {
            // As PostgreSQL counts.
            let length = text.unicodeScalars.count
            guard length <= limit else {
                throw ValidationError("\(option) has \(length) characters; shorten it to at most \(limit)")
            }
        }
        guard let charged else { return }
        let order = charged.trimmingCharacters(in: .whitespacesAndNewlines)
        guard !order.isEmpty else { throw ValidationError("--charged needs the platform's order, as JSON or its id") }
        if order.hasPrefix("{") || order.hasPrefix("["), !Self.fitsAnEvent(order) {
            throw ValidationError("--charged \(order): this begins like JSON and is none; give whole JSON or a bare id")
        }
    }

    /// Whether it is JSON that an event can hold in its envelope.
    private static func fitsAnEvent(_ order: String) -> Bool {
        JSONSyntax.fault(in: Array(order.utf8), atDepth: 2) == nil
    }

    func run() throws {
        let instance = try Instance.ofLedger()
        let database = try instance.subscriptions()
        let month = try ChargeRecords(database).currentPeriod(zone: instance.billingZone)
        let who = who ?? NSUserName()
        let charge = try ChargeSettlement(database).settle(
            id, charged.map { .charged(order: $0) } ?? .notCharged, requestID: requestID, who: who, why: why)
        print(
            "Charge \(charge.id) (subscription \(charge.subscription.printable), \(charge.period), request id "
                + "\(charge.requestID.printable)) is settled as \(notCharged ? "not charged" : "charged"), by \(who). "
                + consequence(for: charge, in: month))
    }

    private func consequence(for charge: ChargeRecords.Entry, in month: String) -> String {
        if charge.retiredAt != nil {
            return "The subscription was deleted: this decides nothing for one inserted under its id."
        }
        if !notCharged { return "It is not charged again for that month." }
        // A change of the time zone can take the present month back before that of a charge.
        return charge.period >= month
            ? "A later request of that month may charge it." : "That month is over: no request charges it any more."
    }
}
