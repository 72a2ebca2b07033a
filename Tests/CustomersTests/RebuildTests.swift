import Postgres
import Runtime
import Synchronization
import TestSupport
import Testing

@testable import Customers

@Suite struct RebuildTests {
    let register: Register

    init() throws { register = try Register() }

    private func rebuild() throws -> Int {
        try CustomerRebuild(reader: register.session(), writer: register.session()).run(deadline: register.limit)
    }

    private func rows() throws -> [String] { try register.texts("SELECT c::text FROM customer c ORDER BY number") }

    private func indexes() throws -> [String] {
        try register.texts("SELECT indexdef::text FROM pg_indexes WHERE tablename LIKE 'customer%' ORDER BY 1")
    }

    /// One command on one of a few customers; a refusal is an outcome like any other.
    private func anyCommand(_ ids: [String], _ emails: [String]) throws {
        guard let id = ids.randomElement(), let email = emails.randomElement() else { return }
        _ = problem {
            switch Int.random(in: 0..<10) {
            case 0: _ = try register.create(email.uppercased())
            case 1: _ = try register.archive(id)
            case 2...5: _ = try register.move(id, .numbered(.random(in: 0...3)))
            default: try register.buy(email, at: "2026-11-\(Int.random(in: 10...28))T00:00:00Z")
            }
        }
    }

    @Test("after random commands the rebuilt read model is the one that was kept")
    func sameAsKept() throws {
        let customers = try (0..<20).map { _ in try register.create() }
        _ = try concurrently(4) { _ in
            for _ in 0..<60 { try anyCommand(customers.map(\.id), customers.map { $0.email.text }) }
        }
        let (kept, defined) = (try rows(), try indexes())
        for customer in customers { #expect(try register.folded(customer.id) == register.customer(customer.id)) }
        #expect(try rebuild() == 20)
        #expect(try rows() == kept)
        #expect(try indexes() == defined)
        #expect(try rebuild() == 20, "and it can be done again")
        _ = try register.create()
        #expect(try register.list().joined().count == 21)
    }

    @Test("what was written by hand is gone afterwards, and more customers than fit a page of events are all there")
    func mends() throws {
        try register.run(
            """
            INSERT INTO customer_event SELECT md5(n::text), v, CASE v WHEN 1 THEN 'customer.created'
                ELSE 'customer.address_updated' END, jsonb_build_object('number', n, 'email', 'c' || n || '@b', 'address',
                jsonb_build_object('street', 's' || v, 'city', 'c', 'country', 'd')), '{}', '2026-01-01'
            FROM generate_series(1, 1500) n, generate_series(1, 3) v
            """)
        #expect(try rebuild() == 1500)
        #expect(try register.count("SELECT count(*) FROM customer WHERE street = 's3' AND version = 3") == 1500)
        let outOfOrder = try register.count(
            """
            SELECT count(*) FROM (SELECT ctid < lag(ctid) OVER (ORDER BY number) AS isBefore FROM customer) r
            WHERE isBefore
            """)
        #expect(outOfOrder == 0, "the rows lie in the order of their numbers, whatever that of their streams")
        try register.run("DELETE FROM customer WHERE number % 2 = 0")
        try register.run("UPDATE customer SET city = 'wrong'")
        #expect(try rebuild() == 1500)
        #expect(try register.count("SELECT count(*) FROM customer WHERE city = 'c'") == 1500)
    }

    @Test("readers see the whole list, and writers lose nothing, while it is rebuilt")
    func underUse() throws {
        let made = try (0..<30).map { _ in try register.create() }
        let isOver = Atomic<Bool>(false)
        let readers = Background { [register] in
            var least = Int.max
            while !isOver.load(ordering: .relaxed) {
                least = min(least, try register.list(limit: 100).joined().count)
                least = min(least, try register.found("example.com").count)
            }
            return least
        }
        let writers = Background { [register] in
            var written = 0
            while !isOver.load(ordering: .relaxed) {
                _ = try register.create()
                _ = try register.move(made[written % 30].id, .numbered(written))
                written += 1
            }
            return written
        }
        defer { isOver.store(true, ordering: .relaxed) }
        for _ in 0..<5 { _ = try rebuild() }
        isOver.store(true, ordering: .relaxed)
        #expect(try readers.value() >= 30)
        let written = try writers.value()
        #expect(written > 0)
        let kept = try rows()
        #expect(kept.count == 30 + written)
        _ = try rebuild()
        #expect(try rows() == kept)
    }

    @Test("what is written while the table is filled is caught up with before a writer has to wait")
    func catchesUpBeforeTheLock() throws {
        func isAwaited(_ table: String) throws -> Bool {
            try register.count(
                """
                SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database AND d.datname = current_database()
                JOIN pg_class c ON c.oid = relation AND c.relname = \(table) WHERE NOT granted
                """) > 0
        }
        func lock(_ table: String, _ mode: String, _ session: Connection) throws {
            try session.run(script: "BEGIN; LOCK TABLE \(table) IN \(mode) MODE", deadline: register.limit)
        }
        _ = try register.create()
        let (events, table) = (try register.session(), try register.session())
        // It waits for the events, then to index what it has filled.
        try lock("customer_event", "ACCESS EXCLUSIVE", events)
        let work = Background { [register] in
            try CustomerRebuild(reader: register.session(), writer: register.session()).run(deadline: register.limit)
        }
        try Eventually.happens("it to read") { try isAwaited("customer_event") }
        try lock("customer_rebuilt", "ROW EXCLUSIVE", table)
        try events.run(script: "COMMIT", deadline: register.limit)
        try Eventually.happens("it to index") { try isAwaited("customer_rebuilt") }
        let late = try register.create()
        // A writer that takes its time keeps it from the lock.
        try lock("customer_event", "ROW EXCLUSIVE", events)
        try table.run(script: "COMMIT", deadline: register.limit)
        try Eventually.happens("it to lock the events") { try isAwaited("customer_event") }
        #expect(try register.count("SELECT count(*) FROM customer_rebuilt WHERE id = \(late.id)") == 1)
        try events.run(script: "COMMIT", deadline: register.limit)
        #expect(try work.value() == 2)
    }

    @Test func oneAtATime() throws {
        let other = try register.session()
        try other.run(
            script: "SELECT pg_advisory_lock(hashtextextended('customer rebuild', 0))", deadline: register.limit)
        #expect(throws: CustomerRebuild.AlreadyRunning.self) { _ = try rebuild() }
    }

    @Test func aBrokenStreamStopsItAndTheListStays() throws {
        let made = try register.create()
        try register.run("INSERT INTO customer_event VALUES ('odd', 1, 'customer.archived', '{}', '{}', now())")
        #expect(throws: BrokenStream.self) { _ = try rebuild() }
        #expect(try register.customer(made.id) == made)
    }
}
