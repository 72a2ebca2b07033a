import Glibc
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

    /// The number of unsettled subscriptions when they are more than the next reader settles, which makes the list slow.
    public func manyUnsettled(deadline: Deadline) throws -> Int? {
        // The row without an id stands for all subscriptions.
        let count = try count(
            """
            SELECT CASE WHEN EXISTS (SELECT FROM unsettled_subscription WHERE subscription_id IS NULL)
                   THEN (SELECT count(*) FROM subscription)
                   ELSE (SELECT count(DISTINCT subscription_id) FROM unsettled_subscription) END
            """, deadline: deadline)
        return count > Eligibility.settledAtOnce ? count : nil
    }

    /// Makes all intervals anew, without keeping anybody from reading or writing meanwhile.
    /// - Returns: how many subscriptions are left to do because somebody is writing them. The definition decides for
    ///   these, and whoever lists the eligible next settles them.
    /// - Throws: `RebuildPostponed` when other sessions kept it from beginning.
    public func rebuild(deadline: Deadline) throws -> Int {
        try connection.execute("INSERT INTO unsettled_subscription VALUES (NULL)", deadline: deadline)
        var patience = Self.patience
        while true {
            let settled = try count("SELECT settle_subscriptions(\(Self.batch)::int)", deadline: deadline)
            // Much less than a batch is what is written meanwhile, and that need not end.
            if settled > Self.batch / 2 { patience = Self.patience }
            if settled > 0, !patience.hasPassed { continue }
            // None: nobody is left, or somebody writes those who are, or another session settles or is in the way.
            let (left, isAll) = try connection.execute(
                """
                SELECT count(DISTINCT subscription_id), count(*) > count(subscription_id) FROM unsettled_subscription
                """, deadline: deadline)[0].decode(Int.self, Bool.self)
            if left == 0, !isAll { return 0 }
            if patience.hasPassed {
                // The row without an id stands for all subscriptions.
                if isAll { throw RebuildPostponed() }
                return left
            }
            usleep(100_000)
        }
    }

    private func count(_ sql: SQL, deadline: Deadline) throws -> Int {
        try connection.execute(sql, deadline: deadline)[0].decode(Int.self)
    }

    /// How many subscriptions one transaction settles at most. It leaves out those whom somebody is writing.
    private static let batch = 20_000

    /// How long to try again once there is little to settle.
    private static var patience: Deadline { .after(milliseconds: 10_000) }
}

/// No interval was made anew, because other sessions were settling, or in the way, all the time.
public struct RebuildPostponed: Error, CustomStringConvertible {
    public var description: String {
        "nothing was rebuilt, because another session settles subscriptions or holds their intervals. Until it is, the "
            + "histories decide for all of them. Run this again"
    }
}
