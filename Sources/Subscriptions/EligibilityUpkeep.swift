public import Postgres
public import Runtime

/// Looks after the intervals that `Eligibility` reads. Triggers keep them; this is for a database in which triggers were
/// switched off, as a restore of data alone does.
public struct EligibilityUpkeep {
    private let connection: Connection

    /// - Parameter connection: a session without statement time-out, outside a transaction. The caller closes it.
    public init(_ connection: Connection) { self.connection = connection }

    /// The number of subscriptions whose intervals are not those of their history, and the id of one. Unsettled ones,
    /// for which the definition decides, are left out. Reads the whole history: a few seconds for a million subscriptions.
    public func wrong(deadline: Deadline) throws -> (count: Int, example: String?) {
        try connection.execute("SELECT count(*), min(id) FROM wrong_active_intervals() id", deadline: deadline)[0]
            .decode(Int.self, String?.self)
    }

    /// Makes all intervals anew, without keeping anybody from reading or writing meanwhile.
    /// - Returns: how many subscriptions are left to do because somebody is writing them. The definition decides for
    ///   these, and whoever lists the eligible next settles them.
    public func rebuild(deadline: Deadline) throws -> Int {
        try connection.execute("INSERT INTO unsettled_subscription VALUES (NULL)", deadline: deadline)
        while try count("SELECT settle_subscriptions(20000)", deadline: deadline) > 0 {}
        return try count("SELECT count(*) FROM unsettled_subscription", deadline: deadline)
    }

    private func count(_ sql: SQL, deadline: Deadline) throws -> Int {
        try connection.execute(sql, deadline: deadline)[0].decode(Int.self)
    }
}
