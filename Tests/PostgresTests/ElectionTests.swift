import Glibc
import Postgres
import Runtime
import TestSupport
import Testing

@Suite struct ElectionTests {
    private let url: String
    private let observer: Connection

    init() throws {
        url = try PostgresServer.shared.freshDatabase()
        observer = try PostgresServer.shared.connect(to: url)
        try observer.run(
            script: "CREATE TABLE schedule_run (function varchar(64) PRIMARY KEY, tick timestamptz NOT NULL)",
            deadline: .soon)
    }

    private func tick() throws -> String {
        try observer.execute("SELECT tick FROM schedule_run", deadline: .soon)[0].decode(String.self)
    }

    /// What the passing of one interval does to the last tick.
    private func letATickPass() throws {
        try observer.execute("UPDATE schedule_run SET tick = tick - interval '1 day'", deadline: .soon)
    }

    @Test("twenty replicas, each with sessions of its own: one wins each tick")
    func oneWinnerPerTick() throws {
        let replicas = (0..<20).map { Database(url: url, application: "replica-\($0)") }
        for _ in 0..<10 {
            let wins = try concurrently(replicas.count) { index in
                try replicas[index].electing(name: "f", everySeconds: 86_400, deadline: .soon) {
                    index
                }
            }
            #expect(wins.compactMap(\.self).count == 1)
            // Who comes late to the same tick does not run it again.
            #expect(try replicas[0].electing(name: "f", everySeconds: 86_400, deadline: .soon) { true } == nil)
            try letATickPass()
        }
    }

    @Test func ticksAreWholeMultiplesOfTheInterval() throws {
        let database = Database(url: url, application: "replica")
        _ = try database.electing(name: "f", everySeconds: 86_400, deadline: .soon) {}
        #expect(try tick().hasSuffix(" 00:00:00+00"))
    }

    @Test("a tick is the nearest to now, before or after", arguments: [(1.25, 1), (1.75, 2)])
    func nearestTick(intervals: Double, ticks: Int) throws {
        let now = try observer.execute("SELECT extract(epoch FROM now())::float8", deadline: .soon)[0]
            .decode(Double.self)
        let interval = Int(now / intervals)
        let database = Database(url: url, application: "replica")
        _ = try database.electing(name: "f", everySeconds: interval, deadline: .soon) {}
        let tick = try observer.execute("SELECT extract(epoch FROM tick)::bigint FROM schedule_run", deadline: .soon)[0]
            .decode(Int.self)
        #expect(tick == ticks * interval)
    }

    @Test func aRunThatTakesLongIsNotJoinedByTheNextTick() throws {
        let (first, second) = (Database(url: url, application: "first"), Database(url: url, application: "second"))
        let (hasBegun, mayEnd) = (Gate(), Gate())
        let long = Background {
            try first.electing(name: "f", everySeconds: 86_400, deadline: .soon) {
                hasBegun.open()
                return mayEnd.wait()
            }
        }
        hasBegun.wait()
        try letATickPass()
        #expect(try second.electing(name: "f", everySeconds: 86_400, deadline: .soon) { true } == nil)
        // Another function is another election.
        #expect(try second.electing(name: "g", everySeconds: 86_400, deadline: .soon) { true } == true)
        mayEnd.open()
        #expect(try long.value() == true)
        #expect(try second.electing(name: "f", everySeconds: 86_400, deadline: .soon) { true } == true)
    }

    @Test func aFailedRunCountsAndGivesTheLockBack() throws {
        struct Failed: Error {}
        let (first, second) = (Database(url: url, application: "first"), Database(url: url, application: "second"))
        #expect(throws: Failed.self) {
            try first.electing(name: "f", everySeconds: 86_400, deadline: .soon) { throw Failed() }
        }
        #expect(try second.electing(name: "f", everySeconds: 86_400, deadline: .soon) { true } == nil)
        try letATickPass()
        #expect(try second.electing(name: "f", everySeconds: 86_400, deadline: .soon) { true } == true)
    }

    @Test("a tick of a clock that was ahead stands in nobody's way")
    func aTickInTheFuture() throws {
        let database = Database(url: url, application: "replica")
        _ = try database.electing(name: "f", everySeconds: 86_400, deadline: .soon) {}
        try observer.execute("UPDATE schedule_run SET tick = tick + interval '3 days'", deadline: .soon)
        #expect(try database.electing(name: "f", everySeconds: 86_400, deadline: .soon) { true } == true)
    }
}
