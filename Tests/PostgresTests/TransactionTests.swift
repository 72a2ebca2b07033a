import Postgres
import Runtime
import TestSupport
import Testing

private struct Unwanted: Error {}

@Suite struct TransactionTests {
    private let database: Database

    init() throws {
        database = Database(url: try PostgresServer.shared.freshDatabase(), application: "transactions")
        _ = try database.withConnection(deadline: .soon) {
            try $0.run(
                script: "CREATE TABLE item (id integer PRIMARY KEY, n integer); INSERT INTO item VALUES (1, 0), (2, 0)",
                deadline: .soon)
        }
    }

    private func sum() throws -> Int {
        try database.execute("SELECT sum(n) FROM item", deadline: .soon)[0].decode(Int.self)
    }

    @Test func commitsWhatSucceeds() throws {
        let result = try database.transaction(deadline: .soon) { connection in
            try connection.execute("UPDATE item SET n = n + \(1)", deadline: .soon)
            return "done"
        }
        #expect(result == "done")
        #expect(try sum() == 2)
    }

    @Test func rollsBackWhatThrowsAndPassesTheErrorOn() throws {
        #expect(throws: Unwanted.self) {
            try database.transaction(deadline: .soon) { connection in
                try connection.execute("UPDATE item SET n = n + \(1)", deadline: .soon)
                throw Unwanted()
            }
        }
        #expect(try sum() == 0)
        let error = try #require(throws: PostgresError.self) {
            try database.transaction(deadline: .soon) {
                try $0.execute("INSERT INTO item VALUES (1, 9)", deadline: .soon)
            }
        }
        #expect(error.sqlState == "23505")
        // The session went back to the pool in good order.
        #expect(try sum() == 0)
    }

    @Test func aStatementThatAMigrationHasOutdatedRunsTheTransactionAgain() throws {
        func label() throws -> String {
            try database.transaction(deadline: .soon) { connection in
                try connection.execute("UPDATE item SET n = n + \(1)", deadline: .soon)
                return try connection.execute("SELECT max(label) FROM item", deadline: .soon)[0].decode(String.self)
            }
        }
        _ = try database.execute("ALTER TABLE item ADD label char(1) DEFAULT 'x'", deadline: .soon)
        #expect(try label() == "x")
        _ = try database.execute("ALTER TABLE item ALTER label TYPE text", deadline: .soon)
        #expect(try label() == "x")
        #expect(try sum() == 4)
    }

    /// PostgreSQL answers COMMIT with success after a failed statement, and rolls back.
    @Test func doesNotTakeARolledBackTransactionForACommittedOne() throws {
        #expect(throws: PostgresError.self) {
            try database.transaction(deadline: .soon) { connection in
                try connection.execute("UPDATE item SET n = n + \(1)", deadline: .soon)
                _ = try? connection.execute("SELECT 1 / \(0)", deadline: .soon)
            }
        }
        #expect(try sum() == 0)
    }

    @Test func aTransactionLeftOpenIsNobodyElses() throws {
        try database.withConnection(deadline: .soon) { connection in
            try connection.execute("BEGIN", deadline: .soon)
            try connection.execute("UPDATE item SET n = 100", deadline: .soon)
        }
        #expect(try sum() == 0)
    }

    @Test func runsADeadlockAgain() throws {
        let first = Gate()
        let second = Gate()
        let attempts = Lock(0)
        let database = database
        _ = try concurrently(2) { index in
            let (own, other) = index == 0 ? (1, 2) : (2, 1)
            let (mine, theirs) = index == 0 ? (first, second) : (second, first)
            try database.transaction(deadline: .soon) { connection in
                attempts.withLock { $0 += 1 }
                try connection.execute("UPDATE item SET n = n + 1 WHERE id = \(own)", deadline: .soon)
                // Each holds its row before it asks for the other's; the gates stay open when it is run again.
                mine.open()
                theirs.wait()
                try connection.execute("UPDATE item SET n = n + 1 WHERE id = \(other)", deadline: .soon)
            }
        }
        #expect(attempts.withLock { $0 } > 2)
        #expect(try sum() == 4)
    }

    @Test func runsASerializationFailureAgain() throws {
        let first = Gate()
        let second = Gate()
        let attempts = Lock(0)
        let database = database
        _ = try concurrently(2) { index in
            let (mine, theirs) = index == 0 ? (first, second) : (second, first)
            try database.transaction(deadline: .soon) { connection in
                attempts.withLock { $0 += 1 }
                try connection.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", deadline: .soon)
                let sum = try connection.execute("SELECT sum(n) FROM item", deadline: .soon)[0].decode(Int.self)
                mine.open()
                theirs.wait()
                try connection.execute("UPDATE item SET n = \(sum + 1) WHERE id = \(index + 1)", deadline: .soon)
            }
        }
        #expect(attempts.withLock { $0 } > 2)
        // One after the other, in either order: 1, and then 2.
        #expect(try sum() == 3)
    }

    @Test func givesUpAfterFiveTimes() throws {
        let attempts = Lock(0)
        let error = try #require(throws: PostgresError.self) {
            try database.transaction(deadline: .soon) { connection in
                attempts.withLock { $0 += 1 }
                try connection.run(
                    script: "DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$", deadline: .soon)
            }
        }
        #expect(error.sqlState == "40001")
        #expect(error.problem.status == 503)
        #expect(attempts.withLock { $0 } == 5)
    }

    @Test func runsNothingElseAgain() throws {
        let attempts = Lock(0)
        #expect(throws: PostgresError.self) {
            try database.transaction(deadline: .soon) { connection in
                attempts.withLock { $0 += 1 }
                try connection.execute("SELECT 1 / \(0)", deadline: .soon)
            }
        }
        #expect(attempts.withLock { $0 } == 1)
    }
}
