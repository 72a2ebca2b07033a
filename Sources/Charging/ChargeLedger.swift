public import Postgres
public import Runtime
internal import Subscriptions

/// The record that decides whether a subscription may be charged in a month, and what came of it.
///
/// `begin` commits a row with the request id that will be sent before anything is sent; `finish` commits the outcome.
/// Between the two no transaction is open. An attempt that never finishes holds the row until its lease ends; the next
/// one then sends the same request id.
public struct ChargeLedger: Sendable {
    let database: Database
    /// The business time zone, by PostgreSQL's name for it.
    let zone: String
    let resend: ResendPolicy

    public init(_ database: Database, zone: String, resend: ResendPolicy = .idempotent) {
        self.database = database
        self.zone = zone
        self.resend = resend
    }

    /// A charge that was made: what every answer for that month is made of.
    public struct Receipt: Sendable, Equatable {
        public let subscription: String
        public let period: String
        public let requestID: String
        public let chargedAt: Timestamp
        /// The platform's answer as it came: JSON text.
        public let order: String
    }

    /// Leave to send one request.
    public struct Attempt: Sendable {
        public let charge: Int
        public let number: Int
        public let subscription: String
        public let period: String
        /// The id to send, which is not always the one that was asked for.
        public let requestID: String
        public let customer: String
        public let sku: Int
    }

    public enum Beginning: Sendable {
        case begun(Attempt)
        case alreadyCharged(Receipt)
        /// Another attempt holds the row, or held it a moment ago.
        case inProgress(isRunning: Bool)
    }

    /// Asks for leave to charge a subscription for the current month.
    /// - Parameters:
    ///   - leaseMilliseconds: how long nobody else may send; longer than this attempt can take.
    ///   - onlyWatch: see what became of another's attempt, and begin none.
    /// - Throws: 404 `subscription-not-found`, 409 `not-chargeable`, 422 `request-id-reused`; 504
    ///   `charge-outcome-unknown` for a doubt that is left to an operator.
    public func begin(
        subscription: String, request: String, leaseMilliseconds: Int, onlyWatch: Bool, deadline: Deadline
    ) throws -> Beginning {
        let statement: SQL =
            switch resend {
            case .idempotent:
                """
                SELECT outcome, reason, charge_id, charge_period, charge_attempt, sent_request, customer, sku,
                       charge_state, charged, recorded_order
                FROM begin_charge(\(subscription), \(request), \(zone), \(leaseMilliseconds), \(onlyWatch))
                """
            case .manual:
                """
                SELECT outcome, reason, charge_id, charge_period, charge_attempt, sent_request, customer, sku,
                       charge_state, charged, recorded_order
                FROM begin_charge_once(\(subscription), \(request), \(zone), \(leaseMilliseconds), \(onlyWatch))
                """
            }
        let rows = try database.execute(statement, deadline: deadline)
        let (outcome, reason, charge, period, number, sent, customer, sku, state, charged, order) = try rows[0].decode(
            String.self, String?.self, Int?.self, String.self, Int?.self, String?.self, String?.self, Int?.self,
            String?.self, Timestamp?.self, String?.self)
        switch outcome {
        case "begun":
            guard let charge, let number, let sent, let customer, let sku else { break }
            return .begun(
                Attempt(
                    charge: charge, number: number, subscription: subscription, period: period, requestID: sent,
                    customer: customer, sku: sku))
        case "charged":
            guard let sent, let charged, let order else { break }
            return .alreadyCharged(
                Receipt(
                    subscription: subscription, period: period, requestID: sent, chargedAt: charged, order: order))
        case "in-progress": return .inProgress(isRunning: state == "sending")
        case "in-doubt": throw ChargeProblem.leftToOperator(period: period)
        case "subscription-not-found": throw SubscriptionProblem.subscriptionNotFound(subscription)
        case "not-chargeable":
            // A charge that is open here is one whose attempt has ended without anybody knowing how.
            let isInDoubt = state == "unknown" || state == "sending"
            throw ChargeProblem.notChargeable(reason ?? "", doubt: isInDoubt ? period : nil)
        case "request-id-reused": throw ChargeProblem.requestIDReused(request, by: reason ?? "")
        default: break
        }
        throw PostgresError.unexpectedResult(statement: "begin_charge", reason: "outcome \(outcome)")
    }

    /// How a charge stands once an attempt is recorded.
    public struct Standing: Sendable {
        /// Whether the outcome is still unknown.
        public let isInDoubt: Bool
        /// When the charge is made, by this attempt or another.
        public let receipt: Receipt?
    }

    /// Records what came of an attempt. It may be called again with the same values, so it is safe to repeat when the
    /// connection breaks.
    public func finish(_ attempt: Attempt, _ verdict: Verdict, deadline: Deadline) throws -> Standing {
        let rows = try database.execute(
            """
            SELECT charge_state, sent_request, charged, recorded_order
            FROM finish_charge(\(attempt.charge), \(attempt.number), \(attempt.requestID), \(verdict.outcome),
                               \(verdict.platformStatus), \(verdict.order), \(verdict.excerpt))
            """, deadline: deadline)
        let (state, request, charged, order) = try rows[0].decode(
            String.self, String.self, Timestamp?.self, String?.self)
        guard state == "charged", let charged, let order else {
            return Standing(isInDoubt: state == "unknown", receipt: nil)
        }
        let receipt = Receipt(
            subscription: attempt.subscription, period: attempt.period, requestID: request, chargedAt: charged,
            order: order)
        return Standing(isInDoubt: false, receipt: receipt)
    }
}
