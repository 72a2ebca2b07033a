import Migrations
import Postgres
import TestSupport
import Testing

/// Doubts that the rule before 5c0e8b47d1a9 ended, in a database that has them still.
@Suite struct ReopenedDoubtTests {
    private let session: Connection
    private let folder = Result { try MigrationFolder.load("\(Repository.root)/migrations/subscriptions") }

    init() throws {
        session = try PostgresServer.shared.connect(to: PostgresServer.shared.freshDatabase())
        try Migrator(connection: session, folder: folder.get()).upgrade(to: "78da82a6e293")
        try session.run(script: "INSERT INTO club (id, name, store_sku) VALUES (7, 'c', 9)", deadline: .soon)
    }

    /// Charges a subscription of its own: each attempt's request id, the outcome and the platform's status.
    private func charge(_ subscription: String, _ attempts: (String, String, Int?)...) throws {
        try session.execute("INSERT INTO subscription VALUES (\(subscription), 7, 'customer')", deadline: .soon)
        for (request, outcome, status) in attempts {
            let request = "\(subscription) \(request)"
            try session.execute(
                """
                SELECT finish_charge(
                    charge_id, charge_attempt, sent_request, \(outcome), \(status),
                    CASE WHEN \(outcome) = 'charged' THEN '{}' END, '')
                FROM begin_charge(\(subscription), \(request), 'UTC', 60000, false)
                """, deadline: .soon)
        }
    }

    private func settle(_ subscription: String) throws {
        try session.execute(
            """
            SELECT settle_charge(id, 'not-charged', CAST(NULL AS text), 'anna', 'looked')
            FROM charge WHERE subscription_id = \(subscription)
            """, deadline: .soon)
    }

    @Test func doubtsThatOtherRefusalsThan402EndedAreOpenedAgain() throws {
        try charge("ended by 404", ("a", "unknown", nil), ("a", "declined", 404))
        try charge("ended by 410 late", ("a", "unknown", nil), ("a", "declined", 409), ("a", "declined", 410))
        try charge("ended by 402", ("a", "unknown", nil), ("a", "declined", 402))
        try charge("refused at once", ("a", "declined", 404))
        try charge("refused twice", ("a", "declined", 404), ("a", "declined", 404))
        try charge("ended by 402 before", ("a", "unknown", nil), ("a", "declined", 402), ("a", "declined", 404))
        try charge("charged since", ("a", "unknown", nil), ("a", "declined", 404), ("b", "charged", 200))
        try charge("settled", ("a", "unknown", nil), ("a", "declined", 409))
        try settle("settled")
        try charge("deleted", ("a", "unknown", nil), ("a", "declined", 404))
        try session.execute("DELETE FROM subscription WHERE id = 'deleted'", deadline: .soon)
        func states() throws -> [String] {
            try session.execute(
                "SELECT subscription_id || ': ' || state FROM charge ORDER BY subscription_id COLLATE \"C\"",
                deadline: .soon
            ).map { try $0.decode(String.self) }
        }
        let before = try states()
        #expect(before.filter { $0.contains("unknown") } == [])

        try Migrator(connection: session, folder: folder.get()).upgrade()
        #expect(
            try states().filter { !before.contains($0) } == ["ended by 404: unknown", "ended by 410 late: unknown"])
        let due = try session.execute(
            "SELECT subscription || sent_request FROM claim_unsettled(10, 60000) ORDER BY 1", deadline: .soon
        ).map { try $0.decode(String.self) }
        #expect(due == ["ended by 404ended by 404 a", "ended by 410 lateended by 410 late a"])
        #expect(
            try session.execute("SELECT count(*) FROM charge WHERE in_doubt AND doubt_since IS NULL", deadline: .soon)[
                0
            ]
            .decode(Int.self) == 0)
    }
}
