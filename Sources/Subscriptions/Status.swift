import Postgres

/// A subscription's status, by the ids of the approved model.
public enum StatusID {
    public static let active = 1
    public static let cancelled = 2
    public static let paused = 3
}

/// A status by id and the approved model's name for it.
struct Status: Encodable, Sendable {
    let id: Int
    let name: String?

    /// `nil` for no status.
    init?(id: Int?, name: String?) {
        guard let id else { return nil }
        self.id = id
        self.name = name
    }
}

/// A status that will take effect by itself.
struct ScheduledStatus: Encodable, Sendable {
    let id: Int
    let name: String?
    let effectDate: Timestamp

    enum CodingKeys: String, CodingKey {
        case id, name
        case effectDate = "effect_date"
    }

    /// `nil` when nothing is scheduled.
    init?(id: Int?, name: String?, effectDate: Timestamp?) {
        guard let id, let effectDate else { return nil }
        self.id = id
        self.name = name
        self.effectDate = effectDate
    }
}
