import Postgres
import Runtime
import TestSupport
import Testing

@testable import Messaging

@Suite struct InboxPurgeTests {
    @Test("where nothing is old nothing is read, also where new entries lie in the space of old ones")
    func nothingIsRead() throws {
        let url = try PostgresServer.shared.freshDatabase()
        let script = try #require(try EventTables.scripts().values.first)
        let connection = try PostgresServer.shared.connect(to: url)
        try connection.run(script: script, deadline: .never)
        let database = Database(url: url, application: "test")
        for (round, left) in [(1, 7900), (2, 15_800)] {
            try connection.run(
                script: """
                    INSERT INTO inbox
                    SELECT 'c', '\(round) ' || n, now() - CASE n % 80 WHEN 0 THEN 40 ELSE 1 END * interval '1 day'
                    FROM generate_series(1, 8000) n
                    """, deadline: .never)
            try connection.run(script: "VACUUM ANALYZE inbox", deadline: .never)
            try step(database)
            #expect(try count(database) == left)
            try connection.run(script: "VACUUM ANALYZE inbox", deadline: .never)
        }
        #expect(try database.rowsRead(of: "inbox") { try step(database) } < 100)
    }

    private func step(_ database: Database) throws {
        var purge = InboxPurge()
        try purge.step(in: database, deadline: .soon)
    }

    private func count(_ database: Database) throws -> Int {
        try database.execute("SELECT count(*) FROM inbox", deadline: .soon)[0].decode(Int.self)
    }
}
