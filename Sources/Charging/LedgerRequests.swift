import Events
import Postgres
import Runtime
import Subscriptions

/// One request for leave to charge, as it goes to the database with others.
struct BeginRequest: Sendable {
    typealias Answer = Result<ChargeLedger.Beginning, Problem>

    let subscription: String
    let requestID: String
    let leaseMilliseconds: Int
    let onlyWatch: Bool

    static func begin(
        _ batch: StatementBatcher<BeginRequest, Answer>.Batch, _ database: Database, zone: String, resend: ResendPolicy
    ) throws -> [Answer] {
        let asked = batch.requests
        let rows = try batch.execute(
            """
            SELECT outcome, reason, charge_id, charge_period, charge_attempt, sent_request, customer, sku,
                   charge_state, charged, recorded_order
            FROM begin_charges(\(asked.map { $0.subscription }), \(asked.map { $0.requestID }), \(zone),
                               \(asked.map { $0.leaseMilliseconds }), \(asked.map { $0.onlyWatch }),
                               \(resend == .manual), \(batch.holdsLane))
            """, in: database)
        return try zip(asked, rows).map { try $0.answer($1) }
    }

    private func answer(_ row: Row) throws -> Answer {
        let (outcome, reason, charge, period, number, sent, customer, sku, state, charged, order) = try row.decode(
            String.self, String?.self, Int?.self, String.self, Int?.self, String?.self, String?.self, Int?.self,
            String?.self, Timestamp?.self, String?.self)
        switch outcome {
        case "begun":
            guard let charge, let number, let sent, let customer, let sku else { break }
            return .success(
                .begun(
                    .init(
                        charge: charge, number: number, subscription: subscription, period: period, requestID: sent,
                        customer: customer, sku: sku)))
        case "charged":
            guard let sent, let charged, let order else { break }
            return .success(
                .alreadyCharged(
                    .init(subscription: subscription, period: period, requestID: sent, chargedAt: charged, order: order)
                ))
        case "in-progress": return .success(.inProgress(isRunning: state == "sending"))
        case "in-doubt": return .failure(ChargeProblem.leftToOperator(period: period))
        case "subscription-not-found": return .failure(SubscriptionProblem.subscriptionNotFound(subscription))
        case "not-chargeable":
            // A charge that is open here is one whose attempt has ended without anybody knowing how.
            let isInDoubt = state == "unknown" || state == "sending"
            return .failure(ChargeProblem.notChargeable(reason ?? "", doubt: isInDoubt ? period : nil))
        case "request-id-reused": return .failure(ChargeProblem.requestIDReused(requestID, by: reason ?? ""))
        default: break
        }
        throw PostgresError.unexpectedResult(statement: "begin_charges", reason: "outcome \(outcome)")
    }
}

/// What came of one attempt, as it goes to the database with others.
struct FinishRequest: Sendable {
    let attempt: ChargeLedger.Attempt
    let verdict: Verdict
    let cause: EventCause

    static func finish(
        _ batch: StatementBatcher<FinishRequest, ChargeLedger.Standing>.Batch, _ database: Database
    ) throws -> [ChargeLedger.Standing] {
        let asked = batch.requests
        let rows = try batch.execute(
            """
            SELECT charge_state, sent_request, charged, recorded_order
            FROM finish_charges(\(asked.map { $0.attempt.charge }), \(asked.map { $0.attempt.number }),
                                \(asked.map { $0.attempt.requestID }), \(asked.map { $0.verdict.outcome }),
                                \(asked.map { $0.verdict.platformStatus }), \(asked.map { $0.verdict.order }),
                                \(asked.map { $0.verdict.excerpt }), \(asked.map { $0.attempt.subscription }),
                                \(asked.map { $0.cause.traceparent }), \(asked.map { $0.cause.correlationID }),
                                \(batch.holdsLane))
            """, in: database)
        return try zip(asked, rows).map { try $0.standing($1) }
    }

    private func standing(_ row: Row) throws -> ChargeLedger.Standing {
        let (state, requestID, charged, order) = try row.decode(
            String.self, String.self, Timestamp?.self, String?.self)
        guard state == "charged", let charged, let order else {
            // Still being sent: by another attempt, which took this one for dead.
            return .init(isInDoubt: state == "unknown" || state == "sending", receipt: nil)
        }
        return .init(
            isInDoubt: false,
            receipt: .init(
                subscription: attempt.subscription, period: attempt.period, requestID: requestID, chargedAt: charged,
                order: order))
    }
}
