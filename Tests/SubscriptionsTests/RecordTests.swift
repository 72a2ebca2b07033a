import Charging
import Postgres
import Runtime
import Subscriptions
import TestSupport
import Testing

/// What visitors and operators are shown.
@Suite struct RecordTests: ChargeSuite {
    let setup: ChargeSetup

    init() throws { setup = try ChargeSetup() }

    @Test func aSubscriptionInsertedAgainShowsNoChargesOfTheDeletedOne() throws {
        func shown() throws -> Int? {
            let record = try SubscriptionRecords(shop.database).record(of: subscription, deadline: .soon)
            return try TestJSON(parsing: JSON.encode(record))["charges"]?.elements.count
        }
        try charge("r-1")
        #expect(try shown() == 1)
        try shop.run("DELETE FROM subscription_status_history")
        try shop.run("DELETE FROM subscription")
        _ = try shop.subscription(id: subscription, club: try shop.club(), history: [])
        #expect(try shown() == 0)
    }

    @Test(
        "an outsider who truncates one table after the other is not ended for who reads them",
        arguments: [("subscription_status_history", "subscription"), ("club_status_history", "club")])
    func truncating(child: String, parent: String) throws {
        let outsider = try shop.session()
        try outsider.run(script: "BEGIN; TRUNCATE \(child)", deadline: .soon)
        let reading = Background { [shop, subscription] in
            if parent == "club" { return try ClubCatalogue(shop.database).all(deadline: .soon).count }
            do {
                _ = try SubscriptionRecords(shop.database).record(of: subscription, deadline: .soon)
                return 1
            } catch is Problem {
                return 0
            }
        }
        try Eventually.happens("the reader to wait") { try shop.isHeldUp("") }
        try outsider.run(script: "TRUNCATE \(parent) CASCADE; COMMIT", deadline: .soon)
        #expect(try reading.value() == 0)
    }

    @Test func theNextChangeOfAClubIsTheEarliest() throws {
        let club = try shop.count("SELECT id FROM club")
        try shop.clubHistory(club, 3, effect: "1 day")
        try shop.clubHistory(club, 2, effect: "2 days")
        let clubs = try TestJSON(parsing: JSON.encode(ClubCatalogue(shop.database).all(deadline: .soon))).elements
        #expect(clubs.map { $0["next_change"]?["id"]?.integer } == [3])
    }

    @Test func aStatusAndTheNextChangeAreOfOneInstant() throws {
        let club = try shop.count("SELECT id FROM club")
        for hour in 0..<48 {
            try shop.clubHistory(club, hour % 3 + 1, effect: "\(60 * hour - 30) minutes")
            try shop.history(subscription, hour % 3 + 1, effect: "\(60 * hour - 30) minutes")
        }
        // A clock that goes forward by an hour whenever a transaction looks at it.
        try shop.run(
            """
            CREATE OR REPLACE FUNCTION utc_now() RETURNS timestamp LANGUAGE plpgsql VOLATILE AS $$
            DECLARE
                looks integer := coalesce(nullif(current_setting('test.looks', true), ''), '0')::integer + 1;
            BEGIN
                PERFORM set_config('test.looks', looks::text, true);
                RETURN clock_timestamp() AT TIME ZONE 'UTC' + (looks - 1) * interval '1 hour';
            END $$
            """)
        let clubs = try TestJSON(parsing: JSON.encode(ClubCatalogue(shop.database).all(deadline: .soon))).elements
        #expect(clubs.map { $0["status"]?["id"]?.integer } == [1])
        #expect(clubs.map { $0["next_change"]?["id"]?.integer } == [2])
        let record = try TestJSON(
            parsing: JSON.encode(SubscriptionRecords(shop.database).record(of: subscription, deadline: .soon)))
        #expect(record["status"]?["id"]?.integer == 1)
        #expect(record["next_change"]?["id"]?.integer == 2)
    }
}
