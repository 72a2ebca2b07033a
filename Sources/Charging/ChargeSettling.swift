internal import Postgres
public import Runtime

/// What one run of settling came to; each number counts charges.
public struct SettlingReport: Encodable, Sendable {
    public internal(set) var charged = 0
    public internal(set) var declined = 0
    /// Sent again, and still nobody knows.
    public internal(set) var unknown = 0
    /// Left to an operator: nothing may be sent, or another charge has taken the request id since.
    public internal(set) var waiting = 0

    enum CodingKeys: String, CodingKey {
        case charged, declined, unknown
        case waiting = "waiting_for_operator"
    }
}

extension ChargeDesk {
    /// Sends every doubt that is due again, one after the other with its pinned request id, until none is left or there
    /// is no time for another. With `ResendPolicy.manual` it sends nothing and counts.
    /// - Throws: `PostgresError`; 504 `charge-outcome-unknown` when an outcome could not be recorded. What was settled
    ///   before stays settled, and the rest comes with the next run.
    public func settle(_ context: Context) throws -> SettlingReport {
        var report = SettlingReport()
        while ledger.resend == .idempotent,
            context.deadline.remainingMilliseconds > Self.settlingMilliseconds + Self.recordMilliseconds
        {
            let deadline = context.deadline.atMost(milliseconds: Self.settlingMilliseconds)
            let lease = Self.settlingMilliseconds + Self.leaseMarginMilliseconds
            guard let attempt = try ledger.claimUnsettled(leaseMilliseconds: lease, deadline: deadline) else { break }
            let (_, standing) = try send(attempt, context, deadline: deadline)
            if standing.receipt != nil {
                report.charged += 1
            } else if standing.isInDoubt {
                report.unknown += 1
            } else {
                report.declined += 1
            }
        }
        report.waiting = try ledger.countWaitingForOperator(deadline: context.deadline)
        return report
    }

    /// How long one doubt may take, recording included.
    static let settlingMilliseconds = 15_000
}

extension ChargeLedger {
    /// Takes the doubt that is due for longest, for as long as the lease.
    func claimUnsettled(leaseMilliseconds: Int, deadline: Deadline) throws -> Attempt? {
        let rows = try database.execute(
            """
            SELECT charge_id, charge_attempt, subscription, charge_period, sent_request, customer, sku
            FROM claim_unsettled(1, \(leaseMilliseconds))
            """, deadline: deadline)
        return try rows.first.map { row in
            let (charge, number, subscription, period, request, customer, sku) = try row.decode(
                Int.self, Int.self, String.self, String.self, String.self, String.self, Int.self)
            return Attempt(
                charge: charge, number: number, subscription: subscription, period: period, requestID: request,
                customer: customer, sku: sku)
        }
    }

    func countWaitingForOperator(deadline: Deadline) throws -> Int {
        let isManual = resend == .manual
        return try database.execute(
            """
            SELECT count(*) FROM charge_doubt d
            WHERE \(isManual) OR EXISTS (
                SELECT FROM charge_request r WHERE r.request_id = d.request_id AND r.charge_id <> d.charge_id)
            """, deadline: deadline)[0].decode(Int.self)
    }
}
