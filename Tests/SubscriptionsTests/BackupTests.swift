import Events
import Migrations
import Postgres
import Runtime
import Subscriptions
import TestSupport
import Testing

@testable import Charging

/// What docs/reliability.md says of backups.
@Suite struct BackupTests: ChargeSuite {
    let setup: ChargeSetup

    init() throws { setup = try ChargeSetup() }

    @Test func aRestoredDatabaseGoesOnWhereTheBackupWasMade() throws {
        let charged = try receipt("charged")
        let unknown = try shop.subscription(club: try shop.club(), history: [(StatusID.active, "-1 day")])
        try doubt("doubted", of: unknown)
        let sending = try shop.subscription(club: try shop.club(), history: [])
        guard case .begun = try begin("sending", of: sending, lease: 1) else { throw UnexpectedBeginning() }
        try shop.run("INSERT INTO inbox (consumer, event_id) VALUES ('ledger', 'é \"1\"')")

        let server = PostgresServer.shared
        let restored = Shop(url: try server.restored(shop.url))
        #expect(try server.contents(of: restored.url) == server.contents(of: shop.url))
        let migrator = try restored.migrator()
        #expect(try migrator.isAtHead() && migrator.check() == [])
        #expect(try restored.eligible() == shop.eligible())

        // From here on only the copy is used.
        let desk = restored.desk(platform)
        let orders = platform.requests.count
        let replay = try desk.charge(subscription: subscription, requestID: "again", .test())
        #expect(replay.isReplay && replay.receipt == charged && platform.requests.count == orders)
        for (id, request) in [(unknown, "doubted"), (sending, "sending")] {
            #expect(try desk.charge(subscription: id, requestID: "other", .test()).receipt.requestID == request)
        }
        let new = try restored.subscription(id: "new", club: try restored.club(status: nil), history: [])
        #expect(try !desk.charge(subscription: new, requestID: "new", .test()).isReplay)

        _ = try restored.store.changeStatus(
            of: subscription, to: StatusID.paused, effectDate: nil, returnAfterDays: nil, details: nil, cause: .test,
            deadline: .soon)
        let sequences = try restored.run(
            "SELECT sequence FROM outbox WHERE subject = \(subscription) ORDER BY position"
        )
        .map { try $0.decode(Int.self) }
        #expect(sequences == [2, 3])
        #expect(try restored.count("SELECT count(*) - count(DISTINCT position) FROM outbox") == 0)
        // The triggers are there again.
        #expect(try !restored.eligible().contains(subscription))
        #expect(throws: PostgresError.self) { try restored.run("UPDATE charge_event SET at = at") }
    }

    @Test("a backup takes the place of all that the migrated database of an ordinary role holds, again and again")
    func restoredInPlace() throws {
        let server = PostgresServer.shared
        let embedded = Shop(url: try server.ownedDatabase())
        try embedded.migrator().upgrade()
        let club = try embedded.club()
        let subscription = try embedded.subscription(club: club, history: [(StatusID.active, "-1 day")])
        for _ in 1...2 {
            let before = try server.contents(of: embedded.url)
            try server.restoring(embedded.url) {
                _ = try embedded.subscription(club: club, history: [(StatusID.active, "-1 day")])
                try embedded.run("CREATE TABLE newer ()")
            }
            #expect(try server.contents(of: embedded.url) == before)
            let migrator = try embedded.migrator()
            #expect(try migrator.isAtHead() && migrator.check() == [])
            #expect(try embedded.eligible() == [subscription])
        }
        var kept: [String] = []
        #expect(throws: (any Error).self) {
            try server.restoring(embedded.url, ending: "SELECT 1 / 0;") {
                _ = try embedded.subscription(club: club, history: [(StatusID.active, "-1 day")])
                kept = try server.contents(of: embedded.url)
            }
        }
        #expect(try server.contents(of: embedded.url) == kept)
    }
}
