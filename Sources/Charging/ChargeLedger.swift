public import Events
public import Postgres
import Runtime

/// The record that decides whether a subscription may be charged in a month, and what came of it.
///
/// `begin` commits a row with the request id that will be sent before anything is sent; `finish` commits the outcome.
/// Between the two no transaction is open. What threads ask at the same moment goes to the database together. An attempt
/// that never finishes holds the row until its lease ends; the next one then sends the same request id.
public struct ChargeLedger: Sendable {
    let database: Database
    let resend: ResendPolicy
    private let beginning: StatementBatcher<BeginRequest, BeginRequest.Answer>
    private let finishing: StatementBatcher<FinishRequest, Standing>

    /// - Parameters:
    ///   - zone: the business time zone, an IANA name that PostgreSQL knows.
    ///   - signal: raised after every outcome.
    public init(_ database: Database, zone: String, resend: ResendPolicy, signal: RelaySignal) {
        self.database = database
        self.resend = resend
        beginning = StatementBatcher { try BeginRequest.begin($0, database, zone: zone, resend: resend) }
        // What came of an order is written down also for a client that has gone.
        finishing = StatementBatcher(runsOverdue: true) {
            let standings = try FinishRequest.finish($0, database)
            signal.raise()
            return standings
        }
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
    struct Attempt: Sendable {
        /// The charge's number, which `taproom charges` shows.
        let charge: Int
        /// Counts the attempts of the charge, from 1.
        let number: Int
        let subscription: String
        let period: String
        /// The id to send, which is not always the one that was asked for.
        let requestID: String
        /// Whom the order is for, by the platform's id.
        let customer: String
        let sku: Int
    }

    enum Beginning: Sendable {
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
    func begin(
        subscription: String, requestID: String, leaseMilliseconds: Int, onlyWatch: Bool, deadline: Deadline
    ) throws -> Beginning {
        let request = BeginRequest(
            subscription: subscription, requestID: requestID, leaseMilliseconds: leaseMilliseconds,
            onlyWatch: onlyWatch)
        do {
            return try beginning.answer(request, deadline: deadline).get()
        } catch let error as PostgresError where error.isRetryable || error.constraint == "charge_decides" {
            // At this moment the subscription was deleted and perhaps inserted again, or its id was handed on, and perhaps
            // a charge with it: nothing has been sent yet.
            return try beginning.answer(request, deadline: deadline).get()
        }
    }

    /// How a charge stands once an attempt is recorded.
    struct Standing: Sendable {
        /// Whether the outcome is still unknown.
        let isInDoubt: Bool
        /// When the charge is made, by this attempt or another.
        let receipt: Receipt?
    }

    /// Records what came of an attempt, and publishes `subscription.charged` or `.charge_declined` when that decides the
    /// charge. It may be called again with the same values, so it is safe to repeat when the connection breaks.
    func finish(
        _ attempt: Attempt, _ verdict: Verdict, cause: EventCause, deadline: Deadline
    ) throws -> Standing {
        try finishing.answer(
            FinishRequest(attempt: attempt, verdict: verdict, cause: cause), deadline: deadline)
    }
}
