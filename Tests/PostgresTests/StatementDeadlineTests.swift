import Postgres
import Runtime
import TestSupport
import Testing

@Suite struct StatementDeadlineTests {
    private let url: String
    private let database: Database
    private let observer: Connection

    init() throws {
        url = try PostgresServer.shared.freshDatabase()
        database = Database(url: url, application: "deadlines")
        observer = try PostgresServer.shared.connect(to: url)
        // The session is there: what a deadline ends is a statement, not the way to the server.
        try database.execute("SELECT 1", deadline: .soon)
    }

    /// How many sessions of `database` run a statement that holds this text.
    private func running(_ text: String) throws -> Int {
        try observer.execute(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE application_name = 'deadlines' AND datname = current_database() AND state = 'active'
                AND query LIKE \("%\(text)%")
            """, deadline: .soon)[0].decode(Int.self)
    }

    private func isTimedOut(_ error: any Error) -> Bool {
        if case PostgresError.timedOut = error { return true }
        return false
    }

    @Test func theDeadlineEndsTheWaitAndTheStatement() throws {
        let error = try #require(throws: PostgresError.self) {
            try database.execute("SELECT pg_sleep(\(600))", deadline: .after(milliseconds: 1000))
        }
        #expect(isTimedOut(error))
        #expect(error.problem.status == 503)
        #expect(error.problem.extensions["executed"] == "unknown")
        try Eventually.happens("the end of the statement") { try running("pg_sleep") == 0 }
        #expect(try database.execute("SELECT 1", deadline: .soon).count == 1)
    }

    @Test func theDeadlineEndsAWaitForALock() throws {
        try observer.run(script: "CREATE TABLE item (n integer); INSERT INTO item VALUES (1)", deadline: .soon)
        try observer.transaction(deadline: .soon) { observer in
            try observer.execute("UPDATE item SET n = 2", deadline: .soon)
            let error = try #require(throws: PostgresError.self) {
                try database.execute("UPDATE item SET n = 3", deadline: .after(milliseconds: 1000))
            }
            #expect(isTimedOut(error))
            let other = try PostgresServer.shared.connect(to: url)
            try Eventually.happens("the end of the statement") {
                try other.execute(
                    """
                    SELECT 1 FROM pg_stat_activity
                    WHERE datname = current_database() AND state = 'active' AND query = 'UPDATE item SET n = 3'
                    """, deadline: .soon
                ).isEmpty
            }
        }
        #expect(try observer.execute("SELECT n FROM item", deadline: .soon)[0].decode(Int.self) == 2)
    }

    @Test func theDeadlineEndsACopy() throws {
        let error = try #require(throws: PostgresError.self) {
            try database.withConnection(deadline: .soon) { connection in
                try connection.copyOut(
                    "COPY (SELECT n, pg_sleep(CASE WHEN n > 10 THEN 600 ELSE 0 END) FROM generate_series(1, 20) n) TO STDOUT",
                    deadline: .after(milliseconds: 500)
                ) { _ in }
            }
        }
        #expect(isTimedOut(error))
        try Eventually.happens("the end of the copy") { try running("COPY") == 0 }
    }

    @Test func aTransactionDoesNotOutliveItsDeadline() throws {
        try observer.run(script: "CREATE TABLE item (n integer)", deadline: .soon)
        let deadline = Deadline.after(milliseconds: 500)
        #expect(throws: PostgresError.self) {
            try database.transaction(deadline: deadline) { connection in
                try connection.execute("INSERT INTO item VALUES (1)", deadline: deadline)
                try connection.execute("SELECT pg_sleep(\(600))", deadline: deadline)
            }
        }
        try Eventually.happens("the end of the transaction") {
            try observer.execute("SELECT count(*) FROM pg_locks WHERE relation = 'item'::regclass", deadline: .soon)[0]
                .decode(Int.self) == 0
        }
        #expect(try observer.execute("SELECT 1 FROM item", deadline: .soon).isEmpty)
    }

    @Test func nothingIsSentAfterTheDeadline() throws {
        try observer.run(script: "CREATE TABLE item (n integer)", deadline: .soon)
        try database.execute("SELECT 1", deadline: .soon)
        for _ in 0..<20 {
            let error = try #require(throws: PostgresError.self) {
                try database.execute("INSERT INTO item VALUES (1)", deadline: .after(milliseconds: 0))
            }
            guard case .unavailable = error else { throw error }
            #expect(error.problem.extensions["executed"] == "no")
        }
        #expect(try observer.execute("SELECT 1 FROM item", deadline: .soon).isEmpty)
    }

    @Test func theServerHasALimitOfItsOwn() throws {
        let limited = Database(url: url, application: "limited", statementTimeoutMilliseconds: 2000)
        let error = try #require(throws: PostgresError.self) {
            try limited.execute("SELECT pg_sleep(\(600))", deadline: .soon)
        }
        #expect(error.sqlState == "57014")
        #expect(error.problem.status == 503)
        #expect(try limited.execute("SELECT 1", deadline: .soon).count == 1)
    }
}
