import Migrations
import Postgres
import TestSupport
import Testing

/// Returns that the rule before f06d2b8a51c7 scheduled across a cancellation, in a database that has them still.
@Suite struct ReturnAcrossCancellationTests {
    @Test func theyAreTakenBackAndNoOthers() throws {
        let session = try PostgresServer.shared.connect(to: PostgresServer.shared.freshDatabase())
        let folder = try MigrationFolder.load("\(Repository.root)/migrations/subscriptions")
        try Migrator(connection: session, folder: folder).upgrade(to: "c83f5b0e7d21")
        try session.run(script: "INSERT INTO club (id, name, store_sku) VALUES (7, 'c', 9)", deadline: .soon)
        func change(_ subscription: String, to status: Int, at effect: String, days: Int? = nil) throws {
            try session.execute(
                """
                SELECT change_status(
                    ARRAY[\(subscription)]::varchar[], ARRAY[\(status)]::integer[], ARRAY[\(effect)]::timestamp[],
                    ARRAY[\(days)]::integer[], ARRAY[NULL]::varchar[], ARRAY[gen_random_uuid()::varchar],
                    ARRAY[gen_random_uuid()::varchar], ARRAY[NULL]::varchar[], ARRAY['test']::varchar[], false)
                """, deadline: .soon)
        }
        func subscription(_ id: String) throws -> String {
            try session.execute("INSERT INTO subscription VALUES (\(id), 7, 'customer')", deadline: .soon)
            return id
        }
        let across = try subscription("cancelled before the pause")
        try change(across, to: 2, at: "9000-01-05")
        try change(across, to: 3, at: "9000-01-01", days: 30)
        let after = try subscription("cancelled after the pause ends")
        try change(after, to: 2, at: "9000-02-05")
        try change(after, to: 3, at: "9000-01-01", days: 30)
        let past = try subscription("came back already")
        try change(past, to: 2, at: "2020-01-05")
        try change(past, to: 3, at: "2020-01-01", days: 30)
        let outside = try subscription("cancelled by an outsider")
        try change(outside, to: 3, at: "9000-01-01", days: 30)
        try session.execute(
            "INSERT INTO subscription_status_history VALUES ('row', \(outside), 2, '9000-01-05', utc_now(), '')",
            deadline: .soon)

        try Migrator(connection: session, folder: folder).upgrade()
        func subscriptions(in table: String) throws -> [String] {
            try session.execute("SELECT subscription_id FROM \(unsafeText: table) ORDER BY 1", deadline: .soon).map {
                try $0.decode(String.self)
            }
        }
        #expect(
            try subscriptions(in: "subscription_status_history WHERE details = 'Automatic return schedule'")
                == [past, after, outside].sorted())
        #expect(try subscriptions(in: "superseded_return") == [across])
    }
}
