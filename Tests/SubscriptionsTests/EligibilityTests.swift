import Postgres
import Runtime
import TestSupport
import Testing

@testable import Subscriptions

@Suite struct EligibilityTests {
    let shop: Shop

    init() throws { shop = try Shop() }

    @Test func activeInAnActiveOrClosedClub() throws {
        let active = try shop.club(status: 1)
        let closed = try shop.club(status: 2)
        let inactive = try shop.club(status: 3)
        let silent = try shop.club(status: nil)
        var expected: Set<String> = []
        for (club, counts) in [(active, true), (closed, true), (inactive, false), (silent, false)] {
            let yes = try shop.subscription(club: club, history: [(2, "-2 days"), (1, "-1 day"), (3, "1 day")])
            if counts { expected.insert(yes) }
            _ = try shop.subscription(club: club, history: [(1, "-2 days"), (3, "-1 day")])
            _ = try shop.subscription(club: club, history: [(2, "-1 day")])
            _ = try shop.subscription(club: club, history: [(1, "1 day")])
            _ = try shop.subscription(club: club, history: [])
        }
        #expect(try shop.eligible() == expected)
    }

    @Test func futureRowsTakeEffectByThemselves() throws {
        let club = try shop.club()
        let begins = try shop.subscription(club: club, history: [(1, "400 milliseconds"), (2, "1 day")])
        _ = try shop.subscription(club: club, history: [(1, "-1 day"), (2, "400 milliseconds")])
        try Eventually.happens("one to begin and the other to end") { try shop.eligible() == [begins] }
    }

    @Test func pagesHoldEveryIDOnceInOrder() throws {
        let club = try shop.club()
        let ids = try (0..<25).map { _ in try shop.subscription(club: club, history: [(1, "-1 day")]) }
        var seen: [String] = []
        while true {
            let page = try shop.eligibility.page(after: seen.last, limit: 10, deadline: .soon)
            seen += page
            if page.count < 10 { break }
        }
        #expect(seen == ids.sorted())
    }

    @Test("whoever becomes active anew while a page is read is on it")
    func activeAnew() throws {
        let id = try shop.subscription(club: try shop.club(), history: [(1, "-1 day")])
        // Whoever asks for the time first gets it when the change below is committed.
        try shop.run("CREATE SEQUENCE asked")
        try shop.run("CREATE SEQUENCE changed")
        try shop.run(
            """
            CREATE OR REPLACE FUNCTION utc_now() RETURNS timestamp LANGUAGE plpgsql VOLATILE AS $$
            DECLARE
                moment timestamp := clock_timestamp() AT TIME ZONE 'UTC';
            BEGIN
                IF nextval('asked') = 1 THEN
                    WHILE NOT (SELECT is_called FROM changed) LOOP
                        PERFORM pg_sleep(0.01);
                    END LOOP;
                END IF;
                RETURN moment;
            END $$
            """)
        let page = Background { [shop] in
            try shop.eligibility.page(after: nil, limit: 10, deadline: .soon)
        }
        try Eventually.happens("the page to ask for the time") {
            try shop.count("SELECT is_called::integer FROM asked") == 1
        }
        try shop.history(id, StatusID.active, effect: "0 seconds")
        try shop.run("SELECT nextval('changed')")
        #expect(try page.value() == [id])
    }

    final class Collector: BodyWriter {
        var bytes: [UInt8] = []
        func write(_ piece: UnsafeRawBufferPointer) { bytes.append(contentsOf: piece) }
    }

    @Test("the stream is one JSON array, whatever characters the ids have")
    func stream() throws {
        let collector = Collector()
        try shop.eligibility.writeAll(to: collector, deadline: .soon)
        #expect(String(decoding: collector.bytes, as: UTF8.self) == "[]")

        let club = try shop.club()
        let odd = ["back\\slash", "quo\"te", "tab\tand\nline\rend", "\u{8}\u{B}\u{C}\u{1F}", "ação 🍺", "plain"]
        for id in odd { _ = try shop.subscription(id: id, club: club, history: [(1, "-1 day")]) }
        let full = Collector()
        try shop.eligibility.writeAll(to: full, deadline: .soon)
        #expect(Set(try JSON.decode([String].self, from: full.bytes)) == Set(odd))
    }

    @Test("the list has everybody once while their rows move about in the table")
    func streamDuringChanges() throws {
        let club = try shop.club()
        // More than one piece for each reader.
        let size = 5000
        try shop.run(
            """
            WITH made AS (
                INSERT INTO subscription SELECT 's' || n, \(Int(club)), 'c' || n, utc_now()
                FROM generate_series(1, \(size)::int) n RETURNING id)
            INSERT INTO subscription_status_history
            SELECT id, id, 1, utc_now() - interval '2 days', utc_now(), '' FROM made
            """)
        let isDone = Lock(false)
        let shop = self.shop
        let counts = try concurrently(2) { thread -> [Int] in
            if thread == 0 {
                // Some of them get a new interval at the end of the table, and nobody is ever without.
                var round = 0
                while !isDone.withLock({ $0 }) {
                    round += 1
                    try shop.run(
                        """
                        UPDATE subscription SET customer_store_id = id || \(round)::int
                        WHERE hashtext(id) & 63 = \(round)::int & 63
                        """)
                }
                return []
            }
            defer { isDone.withLock { $0 = true } }
            return try (0..<60).flatMap { _ in
                let list = Collector()
                try shop.eligibility.writeAll(to: list, deadline: .soon)
                let ids = try JSON.decode([String].self, from: list.bytes)
                return [ids.count, Set(ids).count]
            }
        }
        #expect(counts.joined().allSatisfy { $0 == size })
    }

    private final class Leaving: BodyWriter {
        struct Gone: Error {}
        var pieces = 0
        func write(_ piece: UnsafeRawBufferPointer) throws {
            pieces += 1
            if pieces > 2 { throw Gone() }
        }
    }

    /// More than a socket holds.
    private func subscribeMany() throws {
        _ = try shop.club()
        try shop.run(
            """
            INSERT INTO active_interval
            SELECT '2020-01-01', 'infinity', (SELECT id FROM club), 's' || n FROM generate_series(1, 100000) n
            """)
    }

    @Test("a client that takes the list too slowly holds its worker no longer than the time limit")
    func slowReader() throws {
        try subscribeMany()
        let function = try FunctionProcess(
            "EligibleFunction", routes: ["GET /subscription/eligible"], timeout: 8, concurrency: 1,
            environment: ["DATABASE_URL": shop.url])
        let slow = try FastCGIProbe(path: function.socketPath)
        try slow.send(FastCGIProbe.records("GET", "/subscription/eligible"))
        var taken: [UInt8] = []
        try Eventually.happens("the end of its time") {
            taken += try slow.socket.receive(atMost: 64)
            return !function.process.lines.isEmpty
        }
        #expect(try function.log()[0]["error"]?.string?.hasPrefix("broken off in the middle") == true)
        taken += try slow.socket.receiveAll()
        let end = taken.suffix(16)
        #expect(!end.starts(with: [1, FastCGIRecord.Kind.end.rawValue]), "no END_REQUEST: an answer that breaks off")
        #expect(try function.request("GET", "/subscription/eligible?limit=1").status == 200)
    }

    @Test("a list of which a client takes nothing ends in what no gateway takes for its end")
    func readsNothing() throws {
        try subscribeMany()
        let function = try FunctionProcess(
            "EligibleFunction", routes: ["GET /subscription/eligible"], timeout: 8, concurrency: 1,
            environment: ["DATABASE_URL": shop.url])
        let client = try FastCGIProbe(path: function.socketPath)
        try client.send(FastCGIProbe.records("GET", "/subscription/eligible"))
        #expect(
            try function.waitForLog(lines: 1)[0]["error"]?.string?.contains("not taken it all within the time") == true)
        let taken = try client.socket.receiveAll()
        #expect(taken.suffix(8).allSatisfy { $0 == 0 }, "\(taken.suffix(24))")
    }

    @Test("a list that fails midway ends in what no gateway takes for its end")
    func failingMidway() throws {
        try subscribeMany()
        let function = try FunctionProcess(
            "EligibleFunction", routes: ["GET /subscription/eligible"], concurrency: 1,
            environment: ["DATABASE_URL": shop.url])
        let client = try FastCGIProbe(path: function.socketPath)
        try client.send(FastCGIProbe.records("GET", "/subscription/eligible"))
        var taken = try client.socket.receive(atMost: 64)
        try shop.run(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'COPY%'
            """)
        taken += try client.socket.receiveAll()
        #expect(taken.suffix(8).allSatisfy { $0 == 0 }, "\(taken.suffix(24))")
        #expect(try function.waitForLog(lines: 1)[0]["error"]?.string?.hasPrefix("broken off in the middle") == true)
    }

    @Test("a page names the next one only when there is one")
    func lastPage() throws {
        let club = try shop.club()
        for number in 0..<3 {
            _ = try shop.subscription(club: club, customer: "pages \(number)", history: [(1, "-1 day")])
        }
        let function = try FunctionProcess(
            "EligibleFunction", routes: ["GET /subscription/eligible"], environment: ["DATABASE_URL": shop.url])
        let count = try shop.eligibility.page(after: nil, limit: 10_000, deadline: .soon).count
        for (limit, isLast) in [(count - 1, false), (count, true), (count + 1, true)] {
            let answer = try function.request("GET", "/subscription/eligible?limit=\(limit)")
            #expect(answer.status == 200)
            #expect((answer.headers["Link"] == nil) == isLast, "of \(count) with limit \(limit)")
        }
    }

    @Test("when the client leaves, all who read for it stop")
    func clientLeaves() throws {
        try subscribeMany()
        let client = Leaving()
        #expect(throws: Leaving.Gone.self) {
            try shop.eligibility.writeAll(to: client, deadline: .soon)
        }
        #expect(client.pieces == 3)
    }

    @Test("outsiders may delete and truncate every approved table, and nothing refuses or breaks")
    func outsiders() throws {
        let club = try shop.club()
        let first = try shop.subscription(club: club, customer: "twice", history: [(1, "-1 day")])
        let second = try shop.subscription(club: club, customer: "twice", history: [(1, "-1 day")])
        #expect(try shop.eligible() == [first, second])
        try shop.run("DELETE FROM subscription_status_history WHERE subscription_id = \(first)")
        #expect(try shop.eligible() == [second])
        try shop.run("DELETE FROM subscription WHERE id = \(first)")
        for table in [
            "subscription_status_history", "subscription", "club_status_history", "club", "status", "club_status",
        ] {
            try shop.run("TRUNCATE \(unsafeText: table) CASCADE")
            #expect(try shop.eligible() == [])
        }
        try shop.run("INSERT INTO status (id, name) VALUES (1, 'ATIVO')")
        try shop.run("INSERT INTO club_status (id, name) VALUES (1, 'ATIVO')")
        let again = try shop.subscription(club: try shop.club(), history: [(1, "-1 day")])
        #expect(try shop.eligible() == [again])
    }
}
