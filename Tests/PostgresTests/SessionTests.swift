import Glibc
import Postgres
import Runtime
import TestSupport
import Testing

@Suite struct SessionTests {
    private let url: String
    private let database: Database
    private let observer: Connection

    init() throws {
        url = try PostgresServer.shared.freshDatabase()
        database = Database(url: url, application: "sessions")
        observer = try PostgresServer.shared.connect(to: url)
    }

    private func sessions() throws -> Int {
        try observer.execute(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE application_name = 'sessions' AND datname = current_database()
            """, deadline: .soon)[0].decode(Int.self)
    }

    private func waiting() throws -> Int {
        try observer.execute(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE application_name = 'sessions' AND datname = current_database() AND wait_event = 'advisory'
            """, deadline: .soon)[0].decode(Int.self)
    }

    private func backend() throws -> Int {
        try database.execute("SELECT pg_backend_pid()", deadline: .soon)[0].decode(Int.self)
    }

    @Test func noSessionIsOpenedBeforeItIsNeededAndOneIsKept() throws {
        #expect(try sessions() == 0)
        let first = try backend()
        for _ in 0..<10 { #expect(try backend() == first) }
        #expect(try sessions() == 1)
    }

    @Test func threadsShareAsManySessionsAsAskAtOnce() throws {
        let database = database
        let sums = try concurrently(32) { index in
            var sum = 0
            for round in 0..<50 {
                let rows = try database.execute("SELECT \(index)::integer * 1000 + \(round)::integer", deadline: .soon)
                let value = try rows[0].decode(Int.self)
                guard value == index * 1000 + round else { throw BrokenMessage("another's answer: \(value)") }
                sum += 1
            }
            return sum
        }
        #expect(sums == Array(repeating: 50, count: 32))
        for _ in 1...2 {
            try observer.run(script: "SELECT pg_advisory_lock(1)", deadline: .soon)
            let asking = Background {
                try concurrently(32) { _ in
                    try database.execute(
                        "SELECT pg_advisory_lock_shared(1), pg_advisory_unlock_shared(1)", deadline: .soon
                    ).count
                }
            }
            try Eventually.happens("all of them to ask") { try waiting() == 32 }
            try observer.run(script: "SELECT pg_advisory_unlock(1)", deadline: .soon)
            _ = try asking.value()
            #expect(try sessions() == 32)
        }
    }

    @Test("a server that panics leaves open what came of the statement: a COMMIT may hold") func panic() throws {
        let server = try StreamListener()
        let database = Database(url: "postgresql://x@127.0.0.1:\(server.port)/x", application: "x")
        let asking = Background { try database.execute("COMMIT", deadline: .soon).count }
        let session = try server.acceptDatabaseSession()
        // Severity, the same in English, SQLSTATE and message.
        let body = Array("SPANIQUE\0VPANIC\0C53100\0Mcould not fsync file\0\0".utf8)
        try session.send([UInt8(ascii: "E"), 0, 0, 0, UInt8(body.count + 4)] + body)
        session.close()
        let error = try #require(throws: PostgresError.self) { try asking.value() }
        guard case .connectionLost(_, let reason) = error else { throw error }
        #expect(reason.contains("could not fsync file"))
    }

    @Test func settingsHoldWhateverTheServersDefaults() throws {
        let name = try observer.execute("SELECT current_database()", deadline: .soon)[0].decode(String.self)
        let defaults = [
            "default_transaction_isolation = serializable", "timezone = 'Asia/Tokyo'", "jit = on",
            "datestyle = 'SQL, DMY'", "client_encoding = 'LATIN1'", "standard_conforming_strings = off",
            "array_nulls = off",
        ]
        for setting in defaults {
            try observer.run(script: "ALTER DATABASE \(name) SET \(setting)", deadline: .soon)
        }
        let rows = try database.execute(
            """
            SELECT current_setting('transaction_isolation'), current_setting('timezone'), current_setting('jit'),
                   current_setting('statement_timeout')
            """, deadline: .soon)
        #expect(
            try rows[0].decode(String.self, String.self, String.self, String.self)
                == ("read committed", "UTC", "off", "0"))
        let texts = try database.execute(
            "SELECT timestamp '2026-11-22 01:02:03', \("Zoë → 9"), U&'\\2192'", deadline: .soon)
        #expect(
            try texts[0].decode(String.self, String.self, String.self) == ("2026-11-22 01:02:03", "Zoë → 9", "→"))
        let escapes = try database.execute("SELECT length('\\x'), ('{NULL}'::text[])[1] IS NULL", deadline: .soon)
        #expect(try escapes[0].decode(Int.self, Bool.self) == (2, true))
    }

    @Test("the server finds out itself that a host has vanished; sockets of one host have nothing to find out")
    func theServerLooksForTheHost() throws {
        let server = PostgresServer.shared
        let name = try observer.execute("SELECT current_database()", deadline: .soon)[0].decode(String.self)
        for (address, expected) in [
            (url, "30 10 3"),
            ("postgresql:///\(name)?host=\(server.folder)&port=\(server.port)&user=postgres", "0 0 0"),
        ] {
            let settings = try server.connect(to: address).execute(
                """
                SELECT concat_ws(' ', current_setting('tcp_keepalives_idle'), current_setting('tcp_keepalives_interval'),
                                 current_setting('tcp_keepalives_count'))
                """, deadline: .soon)
            #expect(try settings[0].decode(String.self) == expected, "\(address)")
        }
    }

    @Test func theAddressKeepsItsOwnOptionsBeneathOurs() throws {
        try observer.run(script: "CREATE SCHEMA shop", deadline: .soon)
        let server = PostgresServer.shared
        let name = try observer.execute("SELECT current_database()", deadline: .soon)[0].decode(String.self)
        for address in [
            "\(url)?options=-csearch_path%3Dshop%20-cdatestyle%3DGerman",
            "host=127.0.0.1 port=\(server.port) user=postgres dbname=\(name) "
                + "options='-c search_path=shop -c datestyle=German'",
        ] {
            let rows = try server.connect(to: address).execute(
                "SELECT current_schema(), date '2026-11-22'", deadline: .soon)
            #expect(try rows[0].decode(String.self, String.self) == ("shop", "2026-11-22"), "\(address)")
        }
    }

    @Test func everySessionEndsWithItsDatabase() throws {
        do {
            let passing = Database(url: url, application: "sessions")
            _ = try concurrently(8) { _ in try passing.execute("SELECT 1", deadline: .soon).count }
        }
        try Eventually.happens("the end of the sessions") { try sessions() == 0 }
    }

    @Test func errorsLeakNoSession() throws {
        let database = database
        _ = try concurrently(8) { index in
            for round in 0..<10 {
                switch (index + round) % 3 {
                case 0: _ = try? database.execute("SELECT 1 / \(0)", deadline: .soon)
                case 1: _ = try? database.execute("SELECT pg_sleep(\(60))", deadline: .after(milliseconds: 5))
                default: _ = try? database.transaction(deadline: .soon) { _ in throw BrokenMessage("on purpose") }
                }
            }
        }
        try Eventually.happens("the end of the cancelled sessions") { try sessions() <= 8 }
        #expect(try database.execute("SELECT 1", deadline: .soon).count == 1)
    }

    @Test func anIdleSessionThatWasEndedIsNotUsedAgain() throws {
        let first = try backend()
        try observer.execute("SELECT pg_terminate_backend(\(first))", deadline: .soon)
        try Eventually.happens("the end of the session") { try sessions() == 0 }
        #expect(try backend() != first)
    }

    @Test func aSessionThatEndsInAStatementIsLost() throws {
        let database = database
        let ended = Gate()
        let errors = Lock([PostgresError]())
        let thread = Background {
            do {
                try database.execute("SELECT pg_sleep(\(600))", deadline: .soon)
            } catch let error as PostgresError {
                errors.withLock { $0.append(error) }
            } catch {}
            ended.open()
        }
        try Eventually.happens("the statement") {
            try !observer.execute(
                """
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE query LIKE '%pg_sleep%' AND state = 'active' AND application_name = 'sessions'
                    AND datname = current_database()
                """, deadline: .soon
            ).isEmpty
        }
        #expect(ended.wait(milliseconds: 30_000))
        _ = try thread.value()
        let error = try #require(errors.withLock { $0 }.first)
        guard case .connectionLost(let statement, _) = error else { throw error }
        #expect(statement.contains("pg_sleep"))
        #expect(error.problem.status == 503)
        #expect(error.problem.extensions["executed"] == "unknown")
        #expect(try database.execute("SELECT 1", deadline: .soon).count == 1)
    }

    // MARK: No database

    private func isUnavailable(_ url: String) throws -> Bool {
        let error = try #require(throws: PostgresError.self) {
            try Database(url: url, application: "nowhere").execute("SELECT 1", deadline: .soon)
        }
        #expect(error.problem.status == 503)
        #expect(error.problem.extensions["executed"] == "no")
        if case .unavailable(let reason) = error { return !reason.isEmpty }
        return false
    }

    /// Every statement here has two minutes: what ends the wait is the limit for connecting.
    @Test func aDatabaseThatIsNotThereIsUnavailable() throws {
        #expect(try isUnavailable("postgresql://127.0.0.1:\(try Loopback.freePort())/x"))
        #expect(try isUnavailable("postgresql:///x?host=/nonexistent/folder"))
        #expect(try isUnavailable("postgresql://nobody@127.0.0.1:\(PostgresServer.shared.port)/nowhere"))
        #expect(try isUnavailable("nonsense"))
        #expect(try isUnavailable("postgresql://127.0.0.1:notaport/x"))
        #expect(try isUnavailable("postgresql://database.invalid/x"))
    }

    @Test func aListenerThatNeverAnswersIsUnavailable() throws {
        let silent = try StreamListener()
        #expect(try isUnavailable("postgresql://127.0.0.1:\(silent.port)/x"))
    }

    @Test func aListenerThatSpeaksNoPostgreSQLIsUnavailable() throws {
        let platform = try ScriptedPlatform()
        #expect(try isUnavailable("postgresql://127.0.0.1:\(platform.port)/x"))
        platform.closeConnections { _ in true }
        #expect(try isUnavailable("postgresql://127.0.0.1:\(platform.port)/x"))
    }
}
