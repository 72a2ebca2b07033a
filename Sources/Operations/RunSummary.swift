/// What became of a charge run.
public struct RunSummary: Sendable, Equatable, Encodable {
    /// Why a run ended before everybody was asked for.
    public enum Stop: String, Sendable, Encodable {
        /// The operator stopped it.
        case interrupted
        /// The calendar month ended: what is left belongs to the next one.
        case monthEnded = "month-ended"
        /// The gateway or the platform took nothing many times in a row.
        case unreachable
    }

    public let period: String
    /// Subscriptions that the gateway listed.
    public let eligible: Int
    /// Of these, the ones that were declined earlier this month and were left alone.
    public let declinedEarlier: Int
    public private(set) var charged = 0
    public private(set) var replayed = 0
    public private(set) var declined = 0
    public private(set) var refused = 0
    public private(set) var unknown = 0
    public private(set) var unreachable = 0
    public private(set) var stopped: Stop?
    /// How often each reason was given, other than being charged or declined.
    public private(set) var reasons: [String: Int] = [:]
    /// Subscriptions that may have been charged.
    public private(set) var unknownSubscriptions: [String] = []

    public init(period: String, eligible: Int, declinedEarlier: Int = 0) {
        self.period = period
        self.eligible = eligible
        self.declinedEarlier = declinedEarlier
    }

    public var asked: Int { charged + replayed + declined + refused + unknown + unreachable }
    public var notAsked: Int { eligible - declinedEarlier - asked }

    public mutating func add(_ answer: ChargeAnswer, for subscription: String) {
        switch answer {
        case .charged: charged += 1
        case .replayed: replayed += 1
        case .declined: declined += 1
        case .refused(let reason):
            refused += 1
            reasons[reason, default: 0] += 1
        case .unknown(let reason):
            unknown += 1
            reasons[reason, default: 0] += 1
            unknownSubscriptions.append(subscription)
        case .unreachable(let reason):
            unreachable += 1
            reasons[reason, default: 0] += 1
        }
    }

    /// Keeps the first reason to stop.
    public mutating func stop(_ reason: Stop) { stopped = stopped ?? reason }

    /// 0 when everybody was asked for and nothing is unknown or unreachable, 130 when the operator stopped the run,
    /// else 1.
    public var exitStatus: Int32 {
        if stopped == .interrupted { return 130 }
        return stopped == nil && unknown == 0 && unreachable == 0 && notAsked == 0 ? 0 : 1
    }

    private enum CodingKeys: String, CodingKey {
        case period, eligible, charged, replayed, declined, refused, unknown, unreachable, stopped, reasons
        case declinedEarlier = "declined_earlier"
        case notAsked = "not_asked"
        case unknownSubscriptions = "unknown_subscriptions"
    }

    public func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(period, forKey: .period)
        for (key, count) in [
            (.eligible, eligible), (.charged, charged), (.replayed, replayed), (.declined, declined),
            (.declinedEarlier, declinedEarlier), (.refused, refused), (.unknown, unknown),
            (.unreachable, unreachable), (.notAsked, notAsked),
        ] as [(CodingKeys, Int)] {
            try members.encode(count, forKey: key)
        }
        try members.encode(stopped, forKey: .stopped)
        try members.encode(reasons, forKey: .reasons)
        try members.encode(unknownSubscriptions.sorted(), forKey: .unknownSubscriptions)
    }
}
