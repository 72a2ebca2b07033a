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
        try CustomerRebuild(reader: register.session(), writer: register.session()).run(deadline: .soon)
    }

    private func rows() throws -> [String] { try register.texts("SELECT c::text FROM customer c ORDER BY number") }

    private func indexes() throws -> [String] {
        try register.texts("SELECT indexdef::text FROM pg_indexes WHERE tablename LIKE 'customer%' ORDER BY 1")
    }

    private func isAwaited(_ table: String) throws -> Bool {
        try register.count(
            """
            SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database AND d.datname = current_database()
            JOIN pg_class c ON c.oid = relation AND c.relname = \(table) WHERE NOT granted
            """) > 0
    }

    /// One command on one of a few customers; a refusal is an outcome like any other.
    private func anyCommand(_ ids: [String], _ emails: [String], _ random: inout SeededGenerator) throws {
        guard let id = ids.randomElement(using: &random), let email = emails.randomElement(using: &random) else {
            return
        }
        let (kind, number) = (Int.random(in: 0..<10, using: &random), Int.random(in: 10...28, using: &random))
        _ = problem {
            switch kind {
            case 0: _ = try register.create(email.uppercased())
            case 1: _ = try register.archive(id)
            case 2...5: _ = try register.move(id, .numbered(number % 4))
            default: try register.buy(email, at: "2026-11-\(number)T00:00:00Z")
            }
        }
    }

    /// A failure names the seed; written here in place of a random one, it makes the same commands again.
    @Test(
        "after random commands the rebuilt read model is the one that was kept",
        arguments: [UInt64.random(in: 0...999_999)])
    func sameAsKept(seed: UInt64) throws {
        let customers = try (0..<20).map { _ in try register.create() }
        _ = try concurrently(4) { thread in
            var random = SeededGenerator(seed: seed &+ UInt64(thread))
            for _ in 0..<60 { try anyCommand(customers.map(\.id), customers.map { $0.email.text }, &random) }
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

    @Test("taproom customers rebuild takes its time whatever limit the database has as its default")
    func rebuildWithoutTimeLimit() throws {
        _ = try register.create()
        let name = register.url.split(separator: "/").last.map(String.init) ?? ""
        try register.run("ALTER DATABASE \(unsafeText: name) SET statement_timeout = '1ms'")
        let run = try TestProcess.run(
            TestProcess.product("taproom"), ["customers", "rebuild"],
            environment: ["TAPROOM_DATABASES_CUSTOMERS": register.url], folder: Repository.root)
        #expect(run.status == 0 && run.output == "Rebuilt 1 customers.\n", "\(run.output)\(run.errors)")
    }

    @Test("taproom customers rebuild works on the database that the instance was started with, whatever named it")
    func rebuildOfTheInstance() throws {
        _ = try register.create()
        let folder = try TemporaryFolder()
        let state = folder.path + "/state"
        try StartedInstance(
            state: state, scope: "staging", configurationFile: folder.path + "/gone.json",
            databases: ["customers": register.url]
        ).write()
        let run = try TestProcess.run(
            TestProcess.product("taproom"), ["customers", "rebuild"], environment: ["TAPROOM_STATE": state],
            folder: Repository.root)
        #expect(run.status == 0 && run.output == "Rebuilt 1 customers.\n", "\(run.output)\(run.errors)")
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

    @Test("what is written or deleted while the table is filled is caught up with before a writer has to wait")
    func catchesUpBeforeTheLock() throws {
        func lock(_ table: String, _ mode: String, _ session: Connection) throws {
            try session.run(script: "BEGIN; LOCK TABLE \(table) IN \(mode) MODE", deadline: .soon)
        }
        let gone = try register.create()
        let (events, table) = (try register.session(), try register.session())
        // It waits for the events, then to index what it has filled.
        try lock("customer_event", "ACCESS EXCLUSIVE", events)
        let work = Background { [register] in
            try CustomerRebuild(reader: register.session(), writer: register.session()).run(deadline: .soon)
        }
        try Eventually.happens("it to read") { try isAwaited("customer_event") }
        try lock("customer_rebuilt", "ROW EXCLUSIVE", table)
        try events.run(script: "COMMIT", deadline: .soon)
        try Eventually.happens("it to index") { try isAwaited("customer_rebuilt") }
        let late = try register.create()
        try register.run("DELETE FROM customer_event WHERE stream = \(gone.id)")
        // A writer that takes its time keeps it from the lock.
        try lock("customer_event", "ROW EXCLUSIVE", events)
        try table.run(script: "COMMIT", deadline: .soon)
        try Eventually.happens("it to lock the events") { try isAwaited("customer_event") }
        #expect(try register.texts("SELECT id::text FROM customer_rebuilt") == [late.id])
        try events.run(script: "COMMIT", deadline: .soon)
        #expect(try work.value() == 1)
    }

    @Test("a transaction that has read the list keeps nobody else waiting, and the rebuild until it ends")
    func besideALongTransaction() throws {
        let made = try register.create()
        let dump = try Connection(url: register.url, application: "dump", deadline: .soon)
        try dump.run(script: "BEGIN; SELECT count(*) FROM customer", deadline: .soon)
        let rebuilds = Background { [self] in try rebuild() }
        try Eventually.happens("it to wait for the list") { try isAwaited("customer") }
        let moment = Deadline.after(milliseconds: 5000)
        _ = try register.directory.customer(made.id, deadline: moment)
        _ = try register.store.updateAddress(
            of: made.id, to: .away, if: .none, cause: Register.cause, deadline: moment)
        try dump.run(script: "COMMIT", deadline: .soon)
        #expect(try rebuilds.value() == 1)
        #expect(try register.customer(made.id).address == .away)
    }

    @Test("gives up on a transaction that does not end, says whose it is, and leaves nothing behind")
    func givesUp() throws {
        _ = try register.create()
        let dump = try Connection(url: register.url, application: "dump", deadline: .soon)
        try dump.run(script: "BEGIN; SELECT count(*) FROM customer", deadline: .soon)
        let error = #expect(throws: (any Error).self) {
            try CustomerRebuild(reader: register.session(), writer: register.session())
                .run(deadline: .after(milliseconds: 10_000))
        }
        #expect(error.map { "\($0)" }?.contains("(dump)") == true, "\(String(describing: error))")
        #expect(try register.count("SELECT count(*) FROM pg_class WHERE relname = 'customer_rebuilt'") == 0)
    }

    @Test("who may read the list may do so afterwards, and nobody else")
    func privileges() throws {
        let role = "clerk_\(UInt32.random(in: 0...(.max)))"
        let session = try register.session()
        try session.run(
            script: """
                CREATE ROLE \(role); CREATE ROLE \(role)_other;
                ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO \(role)_other;
                GRANT SELECT ON customer TO \(role) WITH GRANT OPTION; GRANT UPDATE (city) ON customer TO PUBLIC
                """, deadline: .soon)
        func privileges() throws -> [String] {
            try register.texts(
                """
                SELECT relacl::text FROM pg_class WHERE oid = 'customer'::regclass
                UNION ALL SELECT attname || attacl::text FROM pg_attribute
                WHERE attrelid = 'customer'::regclass AND attacl IS NOT NULL
                """)
        }
        let before = try privileges()
        #expect(before.count == 2)
        _ = try rebuild()
        #expect(try privileges() == before)
        try session.run(
            script: "DROP OWNED BY \(role), \(role)_other; DROP ROLE \(role), \(role)_other", deadline: .soon)
    }

    @Test("what would go with the old table is named before anything is done")
    func dependents() throws {
        _ = try register.create()
        try register.run("CREATE VIEW customer_email AS SELECT email FROM customer")
        let error = #expect(throws: (any Error).self) { _ = try rebuild() }
        #expect(error.map { "\($0)" }?.contains("view customer_email") == true, "\(String(describing: error))")
        #expect(try register.count("SELECT count(*) FROM customer_email") == 1)
        #expect(try register.count("SELECT count(*) FROM pg_class WHERE relname = 'customer_rebuilt'") == 0)
        try register.run("DROP VIEW customer_email")
        #expect(try rebuild() == 1)
    }

    @Test func oneAtATime() throws {
        let other = try register.session()
        try other.run(script: "SELECT pg_advisory_lock(hashtextextended('customer rebuild', 0))", deadline: .soon)
        #expect(throws: CustomerRebuild.AlreadyRunning.self) { _ = try rebuild() }
    }

    @Test func anInconsistentHistoryStopsItAndTheListStays() throws {
        let made = try register.create()
        try register.run("INSERT INTO customer_event VALUES ('odd', 1, 'customer.archived', '{}', '{}', now())")
        #expect(throws: InconsistentHistory.self) { _ = try rebuild() }
        #expect(try register.customer(made.id) == made)
    }
}
