import Postgres
import Subscriptions
import TestSupport
import Testing

/// Suites that clear what they have written.
@Suite struct ClearingTests: ChargeSuite {
    let setup: ChargeSetup

    init() throws { setup = try ChargeSetup() }

    @Test("who deletes from every table is not refused, and subscribing and charging go on from empty")
    func fromEveryTable() throws {
        try charge("r-1")
        try doubt("r-2", of: shop.subscription(club: shop.club(), history: [(StatusID.active, "-1 day")]))
        #expect(try decide("charged", "A-1") == "settled")
        try shop.session().deleteEverything(deadline: .soon)
        for table in ["subscription", "charge", "charge_event", "charge_settlement", "outbox", "active_interval"] {
            #expect(try shop.count("SELECT count(*) FROM \(unsafeText: table)") == 0, "\(table)")
        }

        try shop.run("INSERT INTO status (id) VALUES (1), (2), (3)")
        try shop.run("INSERT INTO club_status (id) VALUES (1), (2), (3)")
        let made = try shop.store.subscribe(
            customer: "again", toClub: shop.club(sku: 700), cause: .test, deadline: .soon
        ).id
        #expect(try shop.eligible() == [made])
        try charge("r-3", of: made)
        #expect(try charge(of: made).state == "charged")
        let events = try shop.run("SELECT type FROM outbox ORDER BY position").map { try $0.decode(String.self) }
        #expect(events == ["subscription.created", "subscription.charged"])
    }
}
