import Charging
import Postgres
import Runtime
import Subscriptions
import TestSupport
import Testing

/// Who may be charged.
@Suite struct ChargeabilityTests: ChargeSuite {
    let setup: ChargeSetup

    init() throws { setup = try ChargeSetup() }

    @Test(
        arguments: [
            "UPDATE subscription SET customer_store_id = NULL", "UPDATE subscription SET club_id = NULL",
            "UPDATE club SET store_sku = NULL",
        ] as [SQL])
    func nobodyIsChargedWithoutACustomerAClubAndAnArticle(missing: SQL) throws {
        try shop.run(missing)
        #expect(problem { try charge("r-1") }?.slug == "not-chargeable")
        #expect(platform.requests.isEmpty)
    }

    @Test func aClubThatWillBeInactiveIsChargedUntilThen() throws {
        let club = try shop.count("SELECT id FROM club")
        try shop.clubHistory(club, 3, effect: "1 hour")
        #expect(try receipt("r-1").requestID == "r-1")
    }

    @Test("of two changes of a club for one instant, the one made last counts, for charging and subscribing")
    func tiesOfAClub() throws {
        let club = try shop.club(status: nil)
        // By id they stand the other way round.
        try shop.run(
            """
            INSERT INTO club_status_history VALUES
                ('z', \(Int(club)), 1, '2026-01-01', '2026-01-02', ''),
                ('a', \(Int(club)), 3, '2026-01-01', '2026-01-03', '')
            """)
        let other = try shop.subscription(club: club, history: [])
        #expect(problem { try charge("r-1", of: other) }?.slug == "not-chargeable")
        let refusal = problem {
            _ = try shop.store.subscribe(customer: "c", toClub: club, cause: .test, deadline: .soon)
        }
        #expect(refusal?.slug == "club-not-active")
    }
}
