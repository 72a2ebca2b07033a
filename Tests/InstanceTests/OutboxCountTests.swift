import Postgres
import Runtime
import TestSupport
import Testing

@testable import Instance

/// What `taproom status` and `doctor` count in an outbox that keeps a week of sent events.
@Suite struct OutboxCountTests {
    @Test("sent events are not read") func sentEventsUnread() throws {
        let url = try PostgresServer.shared.freshDatabase()
        let script = try #require(try EventTables.scripts().values.first)
        try PostgresServer.shared.connect(to: url).run(
            script: """
                \(script)
                INSERT INTO outbox (type, subject, sequence, data, state)
                SELECT 't', 's', n, '{}',
                       CASE WHEN n < 4 THEN 'unroutable' WHEN n < 6 THEN 'waiting' ELSE 'sent' END
                FROM generate_series(1, 20000) n;
                ANALYZE outbox;
                """, deadline: .never)
        let database = Database(url: url, application: "test")
        let read = try database.rowsRead(of: "outbox") {
            let counts = try OutboxCounts(url: url)
            #expect(counts.waiting == 2 && counts.unroutable == 3)
            try Eventually.happens("the end of the session, which hands in what it has read") {
                try database.execute(
                    "SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'tap%'",
                    deadline: .soon
                ).isEmpty
            }
        }
        #expect(read < 100)
    }
}
