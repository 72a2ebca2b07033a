import Postgres
import Runtime
import TestSupport
import Testing

@Suite struct SnapshotTests {
    private let url: String
    private let observer: Connection

    init() throws {
        url = try PostgresServer.shared.freshDatabase()
        observer = try PostgresServer.shared.connect(to: url)
    }

    /// How many sessions there are that do something, or have waited for their client for less than a second.
    private func young() throws -> Int {
        try observer.execute(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'snapshot'
                AND (state = 'active' OR clock_timestamp() - state_change < interval '1 second')
            """, deadline: .soon)[0].decode(Int.self)
    }

    @Test func itIsKeptForAsLongAsItIsReadWhateverTheServersLimits() throws {
        let name = try observer.execute("SELECT current_database()", deadline: .soon)[0].decode(String.self)
        // A server before 17 knows but one of them.
        let limits = try observer.execute(
            """
            SELECT name || CASE name WHEN 'transaction_timeout' THEN ' = 500' ELSE ' = 10' END FROM pg_settings
            WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')
            """, deadline: .soon
        ).map { try $0.decode(String.self) }
        for limit in limits { try observer.run(script: "ALTER DATABASE \(name) SET \(limit)", deadline: .soon) }
        try observer.run(script: "CREATE TABLE item (n integer); INSERT INTO item VALUES (1)", deadline: .soon)
        let database = Database(url: url, application: "snapshot")
        let sum: SQL = "SELECT sum(n) FROM item"
        let seen = try database.withSnapshot(locking: ["item"], deadline: .soon) { snapshot in
            try observer.run(script: "INSERT INTO item VALUES (2)", deadline: .soon)
            return try snapshot.read(deadline: .soon) { reader in
                let seen = try reader.execute(sum, deadline: .soon)[0].decode(Int.self)
                try Eventually.happens("sessions that wait for long, or none") { try young() == 0 }
                return seen
            }
        }
        #expect(seen == 1)
        #expect(try database.execute(sum, deadline: .soon)[0].decode(Int.self) == 3)
    }
}
