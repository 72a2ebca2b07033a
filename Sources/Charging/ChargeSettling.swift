import Postgres
public import Runtime

/// What one run of settling came to; each number counts charges.
public struct SettlingReport: Encodable, Sendable {
    public internal(set) var charged = 0
    public internal(set) var declined = 0
    /// Sent again, and still nobody knows.
    public internal(set) var unknown = 0
    /// All that stay in doubt after this run, most of them not due yet.
    public internal(set) var inDoubt = 0
    /// Of these, the ones left to an operator: nothing may be sent, or another charge has taken the request id since.
    public internal(set) var waiting = 0

    enum CodingKeys: String, CodingKey {
        case charged, declined, unknown
        case inDoubt = "in_doubt"
        case waiting = "waiting_for_operator"
    }
}

extension ChargeDesk {
    /// Sends every doubt that is due again with its pinned request id, several at a time, until none is left, there is
    /// no time for another, the process is to end, or the platform takes no orders. With `ResendPolicy.manual` it sends
    /// nothing and counts.
    /// - Throws: `PostgresError`; 504 `charge-outcome-unknown` when an outcome could not be recorded. What was settled
    ///   beside it stays settled, and the rest comes with the next run.
    public func settle(_ context: Context) throws -> SettlingReport {
        let run = Lock(SettlingRun())
        // One goes first: a try that is of no use is used up all the same, and the others keep theirs.
        if let first = try claim(1, context).first, try settle(first, run, context) {
            try claim(Self.settlingConcurrency, context).inParallel { claim in
                var next: Claim? = claim
                while let claim = next, try settle(claim, run, context) {
                    next = try self.claim(1, context).first
                }
            }
        }
        let (inDoubt, waiting) = try ledger.countDoubts(deadline: context.deadline)
        return run.withLock { run in
            run.report.inDoubt = inDoubt
            run.report.waiting = waiting
            return run.report
        }
    }

    /// A doubt that this run alone may send until the deadline.
    private struct Claim {
        let attempt: ChargeLedger.Attempt
        let deadline: Deadline
    }

    /// - Returns: whether the platform takes orders, as far as its answer to this one tells.
    private func settle(_ claim: Claim, _ run: Lock<SettlingRun>, _ context: Context) throws -> Bool {
        let (verdict, standing) = try send(
            claim.attempt, context, deadline: claim.deadline, timeLimitMilliseconds: Self.settlingMilliseconds)
        return run.withLock { $0.note(verdict, standing) }
    }

    private func claim(_ limit: Int, _ context: Context) throws -> [Claim] {
        guard ledger.resend == .idempotent, !platform.isLeftAlone, !context.isStopping,
            context.deadline.remainingMilliseconds > Self.settlingMilliseconds + Self.recordMilliseconds
        else { return [] }
        let deadline = context.deadline.atMost(milliseconds: Self.settlingMilliseconds)
        return try ledger.claimUnsettled(
            limit, leaseMilliseconds: Self.settlingMilliseconds + Self.leaseMarginMilliseconds, deadline: deadline
        ).map { Claim(attempt: $0, deadline: deadline) }
    }

    /// How long one doubt may take, recording included: the charge function's time limit, so that a platform which is
    /// slow in making orders is as slow here.
    static let settlingMilliseconds = 20_000
    /// How many are sent at the same time: a quarter of what the charge function may send.
    static let settlingConcurrency = 8
}

/// What the threads of one run share.
private struct SettlingRun {
    var report = SettlingReport()
    /// Answers since the last one that settled a doubt.
    private var uselessInARow = 0

    /// - Returns: whether the platform takes orders, as far as this verdict tells.
    mutating func note(_ verdict: Verdict, _ standing: ChargeLedger.Standing) -> Bool {
        report.add(standing)
        switch verdict {
        // Said in place of the platform, or by one that does not work.
        case .unusable(status: 502...504, _): return false
        // It may be about this order alone.
        case .unusable,
            .declined where standing.isInDoubt:
            uselessInARow += 1
            return uselessInARow < Self.mostUselessInARow
        case .charged, .declined:
            uselessInARow = 0
            return true
        case .refusedUs, .busy, .unreachable, .unanswered: return false
        }
    }

    /// As many as failed calls that make a circuit open.
    private static let mostUselessInARow = 5
}

extension SettlingReport {
    fileprivate mutating func add(_ standing: ChargeLedger.Standing) {
        if standing.receipt != nil {
            charged += 1
        } else if standing.isInDoubt {
            unknown += 1
        } else {
            declined += 1
        }
    }
}

extension ChargeLedger {
    /// Takes at most so many doubts, those due for longest, for as long as the lease.
    func claimUnsettled(_ limit: Int, leaseMilliseconds: Int, deadline: Deadline) throws -> [Attempt] {
        let rows = try database.execute(
            """
            SELECT charge_id, charge_attempt, subscription, charge_period, sent_request, customer, sku
            FROM claim_unsettled(\(limit), \(leaseMilliseconds))
            """, deadline: deadline)
        return try rows.map { row in
            let (charge, number, subscription, period, requestID, customer, sku) = try row.decode(
                Int.self, Int.self, String.self, String.self, String.self, String.self, Int.self)
            return Attempt(
                charge: charge, number: number, subscription: subscription, period: period, requestID: requestID,
                customer: customer, sku: sku)
        }
    }

    func countDoubts(deadline: Deadline) throws -> (all: Int, waitingForOperator: Int) {
        let isManual = resend == .manual
        return try database.execute(
            """
            SELECT count(*), count(*) FILTER (WHERE \(isManual) OR EXISTS (
                SELECT FROM charge_request r WHERE r.request_id = d.request_id AND r.charge_id <> d.charge_id))
            FROM charge_doubt d
            """, deadline: deadline)[0].decode(Int.self, Int.self)
    }
}
