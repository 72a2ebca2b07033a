import Postgres
import Runtime
import TestSupport
import Testing

private struct Enough: Error {}

@Suite struct CopyTests {
    private let database: Database

    init() throws { database = Database(url: try PostgresServer.shared.freshDatabase(), application: "copy") }

    @Test func everyRowComesWholeAndInOrder() throws {
        var count = 0
        var isRight = true
        try database.withConnection(deadline: .soon) { connection in
            try connection.copyOut(
                "COPY (SELECT n, repeat('x', n % 100) FROM generate_series(1, 100000) n) TO STDOUT", deadline: .soon
            ) { row in
                count += 1
                let text = String(decoding: row, as: UTF8.self)
                isRight = isRight && text == "\(count)\t\(String(repeating: "x", count: count % 100))\n"
            }
        }
        #expect(count == 100_000)
        #expect(isRight)
        #expect(try database.execute("SELECT 1", deadline: .soon).count == 1)
    }

    /// The server has all the rows only in an hour: the first ones come all the same.
    @Test func rowsComeWhileTheServerMakesThem() throws {
        var rows = 0
        #expect(throws: Enough.self) {
            try database.withConnection(deadline: .soon) { connection in
                try connection.copyOut(
                    """
                    COPY (SELECT repeat('x', 1000), CASE WHEN n > 1000 THEN pg_sleep(3600) END
                          FROM generate_series(1, 2000) n) TO STDOUT
                    """, deadline: .soon
                ) { _ in
                    rows += 1
                    if rows == 500 { throw Enough() }
                }
            }
        }
        #expect(rows == 500)
    }

    @Test func anErrorOfTheReceiverLeavesThePoolInOrder() throws {
        for _ in 0..<5 {
            #expect(throws: Enough.self) {
                try database.withConnection(deadline: .soon) { connection in
                    try connection.copyOut(
                        "COPY (SELECT * FROM generate_series(1, 1000000)) TO STDOUT", deadline: .soon
                    ) { _ in throw Enough() }
                }
            }
            #expect(try database.execute("SELECT \(7)::integer", deadline: .soon)[0].decode(Int.self) == 7)
        }
        try Eventually.happens("the end of the copies") {
            try database.execute(
                """
                SELECT count(*) FROM pg_stat_activity
                WHERE application_name = 'copy' AND datname = current_database()
                """, deadline: .soon)[0].decode(Int.self) == 1
        }
    }

    @Test func anErrorOfTheServerInTheMiddleIsThrown() throws {
        var rows = 0
        let error = try #require(throws: PostgresError.self) {
            try database.withConnection(deadline: .soon) { connection in
                try connection.copyOut(
                    "COPY (SELECT 1 / (50000 - n) FROM generate_series(1, 60000) n) TO STDOUT", deadline: .soon
                ) { _ in rows += 1 }
            }
        }
        #expect(error.sqlState == "22012")
        #expect(rows > 0 && rows < 60_000)
        #expect(try database.execute("SELECT 1", deadline: .soon).count == 1)
    }

    @Test func aStatementThatIsNoCopyIsAnError() throws {
        for statement in ["SELECT 1", "COPY nowhere TO STDOUT", "nonsense", "CREATE TABLE item (n integer)", ""] {
            #expect(throws: PostgresError.self, "\(statement)") {
                try database.withConnection(deadline: .soon) { try $0.copyOut(statement, deadline: .soon) { _ in } }
            }
            #expect(try database.execute("SELECT 1", deadline: .soon).count == 1)
        }
    }

    @Test func anEmptyResultHasNoRow() throws {
        var rows = 0
        try database.withConnection(deadline: .soon) {
            try $0.copyOut("COPY (SELECT 1 WHERE false) TO STDOUT", deadline: .soon) { _ in rows += 1 }
        }
        #expect(rows == 0)
    }
}
