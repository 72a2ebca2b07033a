import Postgres
import Runtime
import TestSupport
import Testing

@testable import Messaging

@Suite struct OutboxPurgeTests {
    @Test("an event that was settled long ago and is to be sent again stays")
    func waitingAgain() throws {
        let url = try PostgresServer.shared.freshDatabase()
        let connection = try PostgresServer.shared.connect(to: url)
        try connection.run(script: #require(try EventTables.scripts().values.first), deadline: .soon)
        try connection.run(
            script: """
                INSERT INTO outbox (type, subject, sequence, data, state, settled_at)
                SELECT 't', state, 1, '{}', state, now() - interval '8 days'
                FROM unnest('{sent,unroutable,waiting}'::text[]) state
                """, deadline: .soon)
        var purge = OutboxPurge()
        try purge.step(in: connection, deadline: .soon)
        let left = try connection.execute("SELECT state FROM outbox", deadline: .soon).map { row in
            try row.decode(String.self)
        }
        #expect(left == ["waiting"])
    }
}
