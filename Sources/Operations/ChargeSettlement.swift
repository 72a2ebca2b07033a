public import Postgres
import Runtime

/// An operator's word about a charge of which nobody knows whether it was made.
public struct ChargeSettlement: Sendable {
    public enum Outcome: Sendable, Equatable {
        /// - Parameter order: the platform's order as JSON, or its id.
        case charged(order: String)
        case notCharged
    }

    private let database: Database

    public init(_ database: Database) { self.database = database }

    /// Records the outcome with who says so and why.
    /// - Parameters:
    ///   - id: a charge's number, alone or as `charge:12`, or a subscription that has one charge, or exactly one in doubt.
    ///   - requestID: the one whose order was looked for, by default the one that the charge has now. A charge that has
    ///     another one when it would be settled is left alone.
    /// - Returns: the charge as it was before.
    /// - Throws: `OperationError` that says why nothing was changed.
    public func settle(
        _ id: String, _ outcome: Outcome, requestID: String? = nil, who: String, why: String
    ) throws -> ChargeRecords.Entry {
        let charge = try choose(id)
        let (word, order): (String, String?) =
            switch outcome {
            case .charged(let order): ("charged", order)
            case .notCharged: ("not-charged", nil)
            }
        let requestID = requestID ?? charge.requestID
        let deadline = ChargeRecords.deadline
        let said = try database.transaction(deadline: deadline) { connection in
            // Before the row, like the ledger's functions: whoever truncates the table needs the row after it.
            try connection.execute("LOCK TABLE subscription IN ACCESS SHARE MODE", deadline: deadline)
            let present = try connection.execute(
                "SELECT request_id FROM charge WHERE id = \(charge.id) FOR UPDATE", deadline: deadline
            ).first?.decode(String.self)
            if let present, present != requestID {
                throw OperationError(
                    "charge \(charge.id) was not changed: its request id is \(present.printable) and not "
                        + "\(requestID.printable): look for the order of \(present.printable), then settle it with "
                        + "--request \(present.printable)")
            }
            return try connection.execute(
                "SELECT settle_charge(\(charge.id), \(word), \(order), \(who), \(why))", deadline: deadline)[0]
                .decode(String.self)
        }
        guard said == "settled" else { throw refusal(said, charge) }
        return charge
    }

    private func choose(_ id: String) throws -> ChargeRecords.Entry {
        let found = try ChargeRecords(database).find(id)
        guard let only = found.first else { throw OperationError.unknownCharge(id) }
        if found.count == 1 { return only }
        let byNumber = found.filter { String($0.id) == id }
        let open = found.filter { $0.state == .unknown }
        // A number that is also the id of a subscription names neither.
        if byNumber.isEmpty, open.count == 1 { return open[0] }
        let list = found.map { "charge:\($0.id) (\($0.subscription.printable), \($0.period), \($0.state.rawValue))" }
        throw OperationError("“\(id.printable)” names several charges; say which: \(list.joined(separator: ", "))")
    }

    private func refusal(_ word: String, _ charge: ChargeRecords.Entry) -> OperationError {
        let reason =
            switch word {
            case "already-charged": "it is charged already, see taproom charges show \(charge.id)"
            case "attempt-running": "an attempt runs at this moment; wait until it has ended"
            case "not-in-doubt": "it is \(charge.state.rawValue): nothing was charged, so there is nothing to settle"
            case "order-missing": "--charged needs the platform's order, as JSON or its id"
            case "who-missing": "--who must not be empty"
            case "why-missing": "--why must not be empty"
            case "charge-not-found": "it is gone"
            default: word
            }
        return OperationError("charge \(charge.id) was not changed: \(reason)")
    }
}
