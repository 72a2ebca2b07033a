import TestSupport

/// Random statements as outsiders write them into the approved tables: few subscriptions, so that their histories get
/// long, and few dates, so that there are ties. The same seed gives the same statements.
struct Outsider {
    /// xorshift64*.
    struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state ^= state >> 12
            state ^= state << 25
            state ^= state >> 27
            return state &* 2_685_821_657_736_338_717
        }
    }

    var generator: Generator

    init(seed: UInt64) { generator = Generator(state: seed | 1) }

    /// Clubs and subscriptions to begin with.
    static let ground = """
        INSERT INTO club (id) SELECT generate_series(1, 4) ON CONFLICT DO NOTHING;
        INSERT INTO club_status (id) VALUES (1), (2), (3) ON CONFLICT DO NOTHING;
        INSERT INTO status (id) VALUES (1), (2), (3) ON CONFLICT DO NOTHING;
        INSERT INTO club_status_history SELECT 'ground' || n, n, n % 3 + 1, '2020-01-01' FROM generate_series(1, 4) n
        ON CONFLICT DO NOTHING;
        INSERT INTO subscription SELECT 's' || n, n % 4 + 1, 'c' || n FROM generate_series(1, 8) n
        ON CONFLICT DO NOTHING;
        """

    private mutating func one(_ of: [String]) -> String { of.randomElement(using: &generator) ?? "" }
    private mutating func id(_ prefix: String, _ count: Int) -> String {
        "'\(prefix)\(Int.random(in: 1...count, using: &generator))'"
    }
    /// Odd characters: what JSON and COPY escape.
    private mutating func subscription() -> String {
        one([id("s", 8), id("s", 8), id("s", 8), id("s", 8), "E's\"1\\\\2\\t'"])
    }
    private mutating func club() -> String { one(["1", "2", "3", "4", "1", "2", "20000", "-1", "NULL"]) }
    private mutating func status() -> String { one(["1", "1", "1", "2", "3", "NULL"]) }
    private mutating func date() -> String {
        one([
            "'2021-01-01'", "'2021-01-02'", "'2021-01-02'", "'2021-01-02'", "utc_now()",
            "utc_now() - interval '1 hour'", "utc_now() + interval '11 minutes'",
            "date_trunc('day', utc_now()) + interval '2 days'", "date_trunc('day', utc_now()) + interval '2 days'",
            "date_trunc('day', utc_now()) + interval '3 days'", "NULL", "'infinity'", "'-infinity'",
        ])
    }
    private mutating func historyRow() -> String {
        "(\(id("h", 60)), \(one([subscription(), subscription(), subscription(), "NULL"])), \(status()), \(date()), "
            + "\(one(["NULL", "'2021-01-01'", "'2021-01-02'"])), '')"
    }
    private mutating func condition(_ key: String) -> String {
        one([
            "\(key) = \(key == "id" ? id("h", 60) : subscription())", "\(key) IN (\(id("h", 60)), \(subscription()))",
            "hashtext(id) % 5 = 0", one(["true", "false"]),
        ])
    }

    /// Rows of history with ids of their own for subscriptions of the ground, or a move of one of them to another club:
    /// nothing that sessions would wait for in each other if nobody moves the same.
    mutating func insertion(moving own: Int) -> String {
        if Int.random(in: 0..<6, using: &generator) == 0 {
            return "UPDATE subscription SET club_id = \(one(["1", "2", "3", "4"])) WHERE id = 's\(own)'"
        }
        let rows = (0..<Int.random(in: 1...3, using: &generator)).map { _ in
            "(gen_random_uuid()::text, \(id("s", 8)), \(status()), \(date()), NULL, '')"
        }
        return "INSERT INTO subscription_status_history VALUES " + rows.joined(separator: ", ")
    }

    /// One statement or transaction. It may be one that the approved model's keys refuse.
    mutating func statement() -> String {
        switch Int.random(in: 0..<28, using: &generator) {
        case 0: return Self.ground
        case 1: return "INSERT INTO club VALUES (20000), (-1), (7) ON CONFLICT DO NOTHING"
        case 2...3:
            return
                "INSERT INTO club_status_history VALUES (\(id("ch", 20)), \(club()), \(one(["1", "2", "3", "NULL"])), "
                + "\(date()), NULL, '') ON CONFLICT (id) DO UPDATE SET effect_date = excluded.effect_date"
        case 4:
            return one(["DELETE FROM club_status_history WHERE hashtext(id) % 2 = 0", "TRUNCATE club_status_history"])
        case 5...6:
            return "INSERT INTO subscription VALUES (\(subscription()), \(club()), 'c') "
                + "ON CONFLICT (id) DO UPDATE SET club_id = excluded.club_id"
        case 7:
            return "UPDATE subscription SET club_id = \(club()) WHERE \(one(["true", "id = \(id("s", 8))"]))"
        case 8:
            // Moves a subscription with its history to another id, in one statement as the foreign key wants it.
            let (from, to) = (subscription(), subscription())
            return "WITH h AS (UPDATE subscription_status_history SET subscription_id = \(to) WHERE subscription_id = "
                + "\(from)) UPDATE subscription SET id = \(to) WHERE id = \(from)"
        case 9:
            let gone = subscription()
            return "WITH h AS (DELETE FROM subscription_status_history WHERE subscription_id = \(gone)) "
                + "DELETE FROM subscription WHERE id = \(gone)"
        case 10:
            // A subscription that is made, changed and used in one transaction.
            let new = "'n' || \(Int.random(in: 1...1_000_000, using: &generator))"
            return "BEGIN; INSERT INTO subscription VALUES (\(new), \(club()), 'c'); "
                + "\(one(["SAVEPOINT s; ", ""]))INSERT INTO subscription_status_history "
                + "VALUES (gen_random_uuid()::text, \(new), \(status()), \(date()))"
                + "\(one(["", ", (gen_random_uuid()::text, \(id("s", 8)), \(status()), \(date()))"])); "
                + "\(one(["UPDATE subscription SET club_id = \(club()) WHERE id = \(new); ", ""]))"
                + "INSERT INTO subscription_status_history VALUES (gen_random_uuid()::text, \(new), 1, \(date())); "
                + one(["COMMIT", "COMMIT", "ROLLBACK"])
        case 11: return "DELETE FROM subscription_status_history WHERE \(condition(one(["id", "subscription_id"])))"
        case 12:
            return
                "UPDATE subscription_status_history SET \(one(["effect_date = \(date())", "status_id = \(status())", "subscription_id = \(subscription())", "create_date = '2021-01-01'", "effect_date = effect_date + interval '1 day'"])) "
                + "WHERE \(condition(one(["id", "subscription_id"])))"
        case 13: return "UPDATE subscription_status_history SET id = \(id("h", 60)) WHERE id = \(id("h", 60))"
        case 14 where Int.random(in: 0..<3, using: &generator) == 0:
            return one([
                "TRUNCATE subscription_status_history", "TRUNCATE subscription CASCADE", "TRUNCATE club CASCADE",
                "TRUNCATE status CASCADE", "BEGIN; TRUNCATE subscription CASCADE; ROLLBACK",
            ]) + "; " + Self.ground
        case 15: return "SELECT settle_subscriptions(\(one(["1", "2", "100"])))"
        case 16...17:
            let rows = (0..<Int.random(in: 2...6, using: &generator)).map { _ in historyRow() }
            return
                "INSERT INTO subscription_status_history VALUES \(rows.joined(separator: ", ")) ON CONFLICT DO NOTHING"
        case 18:
            // Its rows in the order of their dates.
            let own = subscription()
            return "INSERT INTO subscription_status_history SELECT gen_random_uuid()::text, \(own), status, "
                + "utc_now() + days * interval '1 day' FROM (VALUES (\(status()), 1), (\(status()), 2), (1, 4)) "
                + "r (status, days) LIMIT \(one(["2", "3"]))"
        case 19:
            // A subscription and its history in one statement.
            let own = subscription()
            let changed = one([
                "INSERT INTO subscription VALUES (\(own), \(club()), 'c') "
                    + "ON CONFLICT (id) DO UPDATE SET club_id = excluded.club_id",
                "UPDATE subscription SET club_id = \(club()) WHERE id = \(own)",
            ])
            return "WITH s AS (\(changed) RETURNING id) INSERT INTO subscription_status_history "
                + "SELECT gen_random_uuid()::text, s.id, \(status()), \(date()) FROM s"
        case 20...21:
            // A history that is replaced in one statement, in the transaction that makes the subscription.
            let new = "'n' || \(Int.random(in: 1...1_000_000, using: &generator))"
            let replacement = one([
                "WITH d AS (DELETE FROM subscription_status_history WHERE subscription_id = \(new) "
                    + "RETURNING subscription_id) INSERT INTO subscription_status_history "
                    + "SELECT gen_random_uuid()::text, d.subscription_id, \(status()), \(date()) FROM d",
                "MERGE INTO subscription_status_history h USING (VALUES (\(new)), (gen_random_uuid()::text)) v (id) "
                    + "ON h.id = v.id WHEN MATCHED THEN DELETE "
                    + "WHEN NOT MATCHED THEN INSERT VALUES (v.id, \(new), \(status()), \(date()))",
            ])
            return "BEGIN; INSERT INTO subscription VALUES (\(new), \(club()), 'c'); "
                + "INSERT INTO subscription_status_history VALUES (\(new), \(new), \(status()), \(date())); "
                + "\(replacement); COMMIT"
        case 22:
            // Moves rows that are there and adds others.
            let first = Int.random(in: 1..<60, using: &generator)
            let rows = (first...first + 1).map {
                "('h\($0)', \(subscription()), \(status()), \(date()), NULL, '')"
            }
            return "INSERT INTO subscription_status_history VALUES \(rows.joined(separator: ", ")) "
                + "ON CONFLICT (id) DO UPDATE SET subscription_id = excluded.subscription_id, "
                + "effect_date = excluded.effect_date, status_id = excluded.status_id"
        default:
            return "INSERT INTO subscription_status_history VALUES \(historyRow()) ON CONFLICT (id) DO UPDATE SET "
                + "effect_date = excluded.effect_date, status_id = excluded.status_id"
        }
    }
}
