/// What became of a charge run.
public struct RunSummary: Sendable, Equatable, Encodable {
    /// Why a run ended before everybody was asked for.
    enum Stop: String, Sendable, Encodable {
        /// The operator stopped it.
        case interrupted
        /// The calendar month ended: what is left belongs to the next one.
        case monthEnded = "month-ended"
        /// The gateway or the platform took nothing many times in a row.
        case unreachable
    }

    let period: String
    /// Subscriptions that the gateway listed.
    let eligible: Int
    /// Of these, the ones that were declined earlier this month and were left alone.
    let declinedEarlier: Int
    private(set) var charged = 0
    private(set) var replayed = 0
    /// Charged, now or before, for another month than this one.
    private(set) var otherMonth = 0
    private(set) var declined = 0
    private(set) var refused = 0
    private(set) var rejected = 0
    private(set) var unknown = 0
    private(set) var unreachable = 0
    private(set) var stopped: Stop?
    /// How often each reason was given, other than being charged or declined.
    private(set) var reasons: [String: Int] = [:]
    /// Subscriptions that may have been charged.
    private(set) var unknownSubscriptions: [String] = []
    private(set) var rejectedSubscriptions: [String] = []
    private(set) var unreachableSubscriptions: [String] = []

    public init(period: String, eligible: Int, declinedEarlier: Int = 0) {
        self.period = period
        self.eligible = eligible
        self.declinedEarlier = declinedEarlier
    }

    var asked: Int { charged + replayed + otherMonth + declined + refused + rejected + unknown + unreachable }
    var notAsked: Int { eligible - declinedEarlier - asked }

    /// Counts the answer for one subscription; once for each, or `notAsked` is too low.
    mutating func add(_ answer: ChargeAnswer, for subscription: String) {
        switch answer {
        case .charged(let month) where month != period, .replayed(let month) where month != period: otherMonth += 1
        case .charged: charged += 1
        case .replayed: replayed += 1
        case .declined: declined += 1
        case .refused(let reason):
            refused += 1
            reasons[reason, default: 0] += 1
        case .rejected(let reason):
            rejected += 1
            reasons[reason, default: 0] += 1
            rejectedSubscriptions.append(subscription)
        case .unknown(let reason):
            unknown += 1
            reasons[reason, default: 0] += 1
            unknownSubscriptions.append(subscription)
        case .unreachable(let reason):
            unreachable += 1
            reasons[reason, default: 0] += 1
            unreachableSubscriptions.append(subscription)
        }
    }

    /// Keeps the first reason to stop.
    mutating func stop(_ reason: Stop) { stopped = stopped ?? reason }

    /// 0 when everybody is charged for this month, declined, or not chargeable; 130 when the operator stopped the run;
    /// else 1.
    public var exitStatus: Int32 {
        if stopped == .interrupted { return 130 }
        let isDone = charged + replayed + declined + declinedEarlier + refused == eligible
        return stopped == nil && isDone ? 0 : 1
    }

    private enum CodingKeys: String, CodingKey {
        case period, eligible, charged, replayed, declined, refused, rejected, unknown, unreachable, stopped, reasons
        case otherMonth = "other_month"
        case declinedEarlier = "declined_earlier"
        case notAsked = "not_asked"
        case unknownSubscriptions = "unknown_subscriptions"
        case rejectedSubscriptions = "rejected_subscriptions"
        case unreachableSubscriptions = "unreachable_subscriptions"
    }

    public func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(period, forKey: .period)
        for (key, count) in [
            (.eligible, eligible), (.charged, charged), (.replayed, replayed), (.otherMonth, otherMonth),
            (.declined, declined), (.declinedEarlier, declinedEarlier), (.refused, refused), (.rejected, rejected),
            (.unknown, unknown), (.unreachable, unreachable), (.notAsked, notAsked),
        ] as [(CodingKeys, Int)] {
            try members.encode(count, forKey: key)
        }
        try members.encode(stopped, forKey: .stopped)
        try members.encode(reasons, forKey: .reasons)
        try members.encode(unknownSubscriptions.sorted(), forKey: .unknownSubscriptions)
        try members.encode(rejectedSubscriptions.sorted(), forKey: .rejectedSubscriptions)
        try members.encode(unreachableSubscriptions.sorted(), forKey: .unreachableSubscriptions)
    }
}
