import Glibc
import Postgres
import Runtime
import TestSupport
import Testing

/// What happens to the sessions of a server that goes and comes back: each test has a server of its own.
@Suite struct RestartTests {
    private let server: PostgresServer
    private let database: Database

    init() throws {
        server = try PostgresServer()
        database = Database(url: server.url("postgres"), application: "restart")
    }

    private func isSomebodyAsleep() throws -> Bool {
        try !database.execute(
            "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%'", deadline: .soon
        ).isEmpty
    }

    @Test(arguments: [PostgresServer.ShutdownMode.fast, .immediate])
    func theNextCallAfterARestartSucceeds(_ mode: PostgresServer.ShutdownMode) throws {
        let database = database
        // Several idle sessions: all of them are dead afterwards.
        _ = try concurrently(4) { _ in try database.execute("SELECT pg_sleep(\(0.05))", deadline: .soon).count }
        for _ in 0..<2 {
            try server.restart(mode: mode)
            for _ in 0..<6 { #expect(try database.execute("SELECT 1", deadline: .soon).count == 1) }
        }
    }

    @Test func aCallInHandIsLostAndTheNextOneSucceeds() throws {
        let database = database
        let outcomes = Lock([String]())
        let thread = Background {
            do {
                try database.execute("SELECT pg_sleep(\(600))", deadline: .soon)
            } catch PostgresError.connectionLost {
                outcomes.withLock { $0.append("lost") }
            } catch {
                outcomes.withLock { $0.append("\(error)") }
            }
        }
        try Eventually.happens("the statement") { try isSomebodyAsleep() }
        try server.restart(mode: .fast)
        _ = try thread.value()
        #expect(outcomes.withLock { $0 } == ["lost"])
        #expect(try database.execute("SELECT 1", deadline: .soon).count == 1)
    }

    /// kill -9 of one backend makes the server drop all of them and recover.
    @Test func aKilledBackendCostsNoLaterCall() throws {
        let pid = try database.execute("SELECT pg_backend_pid()", deadline: .soon)[0].decode(Int.self)
        #expect(Glibc.kill(Int32(pid), SIGKILL) == 0)
        try Eventually.happens("the recovery") {
            do {
                return try database.execute("SELECT 1", deadline: .soon).count == 1
            } catch let error as PostgresError where error.problem.status == 503 {
                return false
            }
        }
        for _ in 0..<3 { #expect(try database.execute("SELECT 1", deadline: .soon).count == 1) }
    }

    @Test func callsUnderLoadRecoverByThemselves() throws {
        let database = database
        let isOver = Lock(false)
        let failures = Lock(0)
        let server = server
        let counts = try concurrently(9) { index in
            if index == 0 {
                try Eventually.happens("a call in hand") { try isSomebodyAsleep() }
                try server.restart(mode: .fast)
                try server.restart(mode: .immediate)
                isOver.withLock { $0 = true }
                return 1
            }
            // One call lasts until the restart meets it.
            var isFirst = index == 1
            var successes = 0
            // Three answers after the last restart say that it is over for this thread as well.
            var after = 0
            while after < 3 {
                let last = isOver.withLock { $0 }
                do {
                    if isFirst {
                        isFirst = false
                        try database.execute("SELECT pg_sleep(\(600))", deadline: .soon)
                    }
                    try database.execute("SELECT \(index)::integer", deadline: .soon)
                    successes += 1
                    if last { after += 1 }
                } catch let error as PostgresError where error.problem.status == 503 {
                    failures.withLock { $0 += 1 }
                    // Whoever asks after the restart is over has no reason to fail.
                    if last { throw error }
                    usleep(5000)
                }
            }
            return successes
        }
        #expect(counts.allSatisfy { $0 > 0 })
        #expect(failures.withLock { $0 } > 0, "the restarts met somebody")
    }

    /// A server that stands still takes the request to cancel, and never answers it.
    @Test func theDeadlineHoldsWhenTheServerStandsStill() throws {
        try database.execute("SELECT 1", deadline: .soon)
        let postmaster = try server.processID()
        #expect(Glibc.kill(postmaster, SIGSTOP) == 0)
        defer { Glibc.kill(postmaster, SIGCONT) }
        let database = database
        let isDone = Gate()
        let thread = Background {
            _ = try? database.execute("SELECT pg_sleep(\(600))", deadline: .after(milliseconds: 300))
            isDone.open()
        }
        let isInTime = isDone.wait(milliseconds: 20_000)
        #expect(isInTime)
        Glibc.kill(postmaster, SIGCONT)
        _ = try thread.value()
        try Eventually.happens("the end of the statement") { try !isSomebodyAsleep() }
    }
}
