public import Postgres

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
    /// - Parameter id: a charge's number, or a subscription that has exactly one charge in doubt.
    /// - Returns: the charge as it was before.
    /// - Throws: `OperationError` that says why nothing was changed.
    public func settle(
        _ id: String, _ outcome: Outcome, who: String, why: String
    ) throws -> ChargeRecords.Entry {
        let charge = try choose(id)
        let (word, order): (String, String?) =
            switch outcome {
            case .charged(let order): ("charged", order)
            case .notCharged: ("not-charged", nil)
            }
        let rows = try database.execute(
            "SELECT settle_charge(\(charge.id), \(word), \(order), \(who), \(why))", deadline: ChargeRecords.deadline)
        let said = try rows[0].decode(String.self)
        guard said == "settled" else { throw refusal(said, charge) }
        return charge
    }

    private func choose(_ id: String) throws -> ChargeRecords.Entry {
        let found = try ChargeRecords(database).find(id)
        guard let only = found.first else {
            throw OperationError(
                "no charge and no subscription with charges has the id “\(id)”: see taproom charges list")
        }
        if found.count == 1 { return only }
        let byNumber = found.filter { String($0.id) == id }
        let open = found.filter { $0.state == "unknown" }
        // A number that is also the id of a subscription names neither.
        if byNumber.isEmpty, open.count == 1 { return open[0] }
        let list = found.map { "charge:\($0.id) (\($0.subscription), \($0.period), \($0.state))" }
        throw OperationError("“\(id)” names several charges; say which: \(list.joined(separator: ", "))")
    }

    private func refusal(_ word: String, _ charge: ChargeRecords.Entry) -> OperationError {
        let reason =
            switch word {
            case "already-charged": "it is charged already, see taproom charges show \(charge.id)"
            case "attempt-running": "an attempt runs at this moment; wait until it has ended"
            case "not-in-doubt": "it is \(charge.state): nothing was charged, so there is nothing to settle"
            case "order-missing": "--charged needs the platform's order, as JSON or its id"
            case "who-missing": "--who must not be empty"
            case "why-missing": "--why must not be empty"
            case "charge-not-found": "it is gone"
            default: word
            }
        return OperationError("charge \(charge.id) was not changed: \(reason)")
    }
}
