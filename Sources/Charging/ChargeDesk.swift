import Events
import Glibc
import Logging
import Postgres
public import Runtime

/// Charges subscriptions through the platform, each at most once a month.
public struct ChargeDesk: Sendable {
    let ledger: ChargeLedger
    let platform: Platform
    private let timeLimitMilliseconds: Int?

    /// - Parameter timeLimitMilliseconds: the function's own, of which the wait for a worker has taken a part when a
    ///   charge begins; `nil` where nothing waits.
    public init(ledger: ChargeLedger, platform: Platform, timeLimitMilliseconds: Int? = nil) {
        self.ledger = ledger
        self.platform = platform
        self.timeLimitMilliseconds = timeLimitMilliseconds
    }

    public struct Charged: Sendable {
        public let receipt: ChargeLedger.Receipt
        /// Whether the receipt was there before this request.
        public let isReplay: Bool
    }

    /// Charges a subscription for the current month, or answers with the charge that was made.
    /// - Parameter requestID: 1 to 128 of `A–Z a–z 0–9 . _ : -`; the caller has checked.
    /// - Throws: the refusals and doubts of `ChargeProblem`.
    public func charge(subscription: String, requestID: String, _ context: Context) throws -> Charged {
        let timeLimit = timeLimitMilliseconds ?? context.deadline.remainingMilliseconds
        let patience = context.deadline.atMost(milliseconds: Self.patienceMilliseconds)
        var pause: UInt32 = 5000
        var hasWaited = false
        while true {
            FaultPoint.beforeBegin.reach()
            let beginning = try ledger.begin(
                subscription: subscription, requestID: requestID,
                leaseMilliseconds: context.deadline.remainingMilliseconds + Self.leaseMarginMilliseconds,
                onlyWatch: hasWaited, deadline: context.deadline)
            switch beginning {
            case .alreadyCharged(let receipt): return Charged(receipt: receipt, isReplay: true)
            case .begun(let attempt):
                let (verdict, standing) = try send(
                    attempt, context, deadline: context.deadline, timeLimitMilliseconds: timeLimit)
                guard let receipt = standing.receipt else {
                    throw ChargeProblem.of(
                        verdict, ledger.resend, doubt: standing.isInDoubt ? attempt.period : nil
                    ).about(attempt)
                }
                return Charged(receipt: receipt, isReplay: false)
            case .inProgress(let isRunning):
                // Who has waited for another's attempt sends none of its own: a platform in trouble gets one call.
                guard isRunning, !patience.hasPassed else { throw ChargeProblem.inProgress }
                hasWaited = true
                usleep(pause)
                pause = min(pause * 2, 100_000)
            }
        }
    }

    /// Sends the attempt's order once and records what came of it; sends nothing when waiting has left too little time.
    /// - Parameter timeLimitMilliseconds: what there is until the deadline when nothing waits.
    /// - Throws: 504 when the outcome could not be recorded by the deadline, or at once when the charge is gone.
    func send(
        _ attempt: ChargeLedger.Attempt, _ context: Context, deadline: Deadline, timeLimitMilliseconds: Int
    ) throws -> (verdict: Verdict, standing: ChargeLedger.Standing) {
        // Some time must be left to write down the outcome.
        func remainingMilliseconds() -> Int { deadline.remainingMilliseconds - Self.recordMilliseconds }
        let whole = timeLimitMilliseconds - Self.recordMilliseconds
        // Before the fault point: who is held there by a test has not waited.
        let remaining = remainingMilliseconds()
        FaultPoint.afterBegin.reach()
        let verdict =
            remaining < Self.leastCallMilliseconds(of: whole)
            ? .unreachable(reason: "waiting left \(max(0, remaining)) ms of its time")
            : try platform.order(
                attempt, context, deadline: .after(milliseconds: remainingMilliseconds()),
                countsSilence: remaining >= whole - Self.beginMilliseconds)
        FaultPoint.beforeFinish.reach()
        // Also when beginning took all the time: the lease and the gateway wait longer than that.
        let standing = try record(
            verdict, of: attempt, context, deadline: max(deadline, .after(milliseconds: Self.leastRecordMilliseconds)))
        FaultPoint.afterFinish.reach()
        if case .charged = verdict { standing.reportSecondOrder(of: attempt, context) }
        return (verdict, standing)
    }

    /// Records what came of the attempt, trying until the deadline whatever the database says: what is known now is lost
    /// with this process. After that the lease ends and the same request id is sent again.
    /// - Throws: 504 at the deadline, or at once when the charge is gone.
    private func record(
        _ verdict: Verdict, of attempt: ChargeLedger.Attempt, _ context: Context, deadline: Deadline
    ) throws -> ChargeLedger.Standing {
        var refusal: PostgresError?
        while true {
            do {
                return try ledger.finish(attempt, verdict, cause: EventCause(context), deadline: deadline)
            } catch let error as PostgresError where error.constraint == "charge_event_charge_id_fkey" {
                verdict.reportUnrecorded(of: attempt, context)
                throw ChargeProblem.recordRemoved
            } catch let error as PostgresError {
                if error.sqlState != nil { refusal = error }
                guard !deadline.hasPassed else {
                    throw ChargeProblem.unrecorded(ledger.resend)
                        .with(debug: "outcome \(verdict.outcome) could not be recorded: \(refusal ?? error)")
                        .about(attempt)
                }
                usleep(50_000)
            }
        }
    }

    /// How long a duplicate waits for the request that came first.
    static let patienceMilliseconds = 3000
    /// By how much the lease outlasts the function's own time limit.
    static let leaseMarginMilliseconds = 5000
    /// What is kept of the time limit for recording the outcome.
    static let recordMilliseconds = 3000
    /// What must be left of the platform's time for an order to go out: half. When all workers wait for the platform, a
    /// request has waited for about as long as a call takes; once that is more than half, the rest would not do.
    static func leastCallMilliseconds(of whole: Int) -> Int { whole / 2 }
    /// What beginning may take of the platform's time; where more is gone, silence is not held against the platform.
    static let beginMilliseconds = 1000
    /// What recording gets when nothing is left of it: less than the gateway waits beyond the time limit, 2 s.
    static let leastRecordMilliseconds = 1500
}

extension Verdict {
    /// Says in the log what stands nowhere else, because somebody has removed the charge.
    fileprivate func reportUnrecorded(of attempt: ChargeLedger.Attempt, _ context: Context) {
        context.logger.critical(
            """
            the record of a charge of \(attempt.subscription) in \(attempt.period) was removed while its order \
            \(attempt.requestID) was out; what came of it: \(outcome)
            """, metadata: ["charge": "\(attempt.charge)", "platform": "\(excerpt)"])
    }
}

extension ChargeLedger.Standing {
    /// Says so in the log when the platform made an order of this attempt beside the one on the books: it acted on a
    /// request id that it, or an operator, had called not charged.
    fileprivate func reportSecondOrder(of attempt: ChargeLedger.Attempt, _ context: Context) {
        guard let receipt, receipt.requestID != attempt.requestID else { return }
        context.logger.critical(
            """
            the platform made a second order for \(attempt.subscription) in \(attempt.period): \(attempt.requestID) \
            beside \(receipt.requestID), which is the one on the books; cancel one there
            """, metadata: ["charge": "\(attempt.charge)"])
    }
}
