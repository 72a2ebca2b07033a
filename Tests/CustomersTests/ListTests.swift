import Postgres
import Runtime
import TestSupport
import Testing

@testable import Customers

@Suite struct ListTests {
    let register: Register

    init() throws { register = try Register() }

    /// Rows of the read model, for what is about reading only. The indexes of the search are made once they are there.
    private func fill(_ numbers: Range<Int>, street: String, archived: String) throws {
        try register.session().run(
            script: """
                CREATE TEMP TABLE definition AS
                    SELECT indexdef::text FROM pg_indexes WHERE indexname IN ('customer_search', 'customer_short_search');
                DROP INDEX customer_search, customer_short_search;
                INSERT INTO customer (id, number, email, street, city, country, created_at, is_archived, version)
                SELECT 'c' || n, n, 'c' || n || '@example.com', \(street), 'City', 'Country', now(), \(archived), 1
                FROM generate_series(\(numbers.lowerBound), \(numbers.upperBound - 1)) n;
                DO $$ DECLARE d text; BEGIN FOR d IN TABLE definition LOOP EXECUTE d; END LOOP; END $$;
                """, deadline: .after(milliseconds: 300_000))
    }

    @Test("every customer once, the newest first, whatever the size of a page", arguments: [1, 7, 25, 100])
    func paging(size: Int) throws {
        let made = try (0..<25).map { _ in try register.create() }
        let pages = try register.list(limit: size)
        #expect(pages.joined().map(\.id) == made.reversed().map(\.id))
        #expect(pages.dropLast().allSatisfy { $0.count == size })
        #expect(Array(pages.joined()) == made.reversed())
        #expect(try register.list("EXAMPLE", limit: size).joined().map(\.id) == made.reversed().map(\.id))
    }

    @Test func whoComesMeanwhileIsOnNoLaterPage() throws {
        let made = try (0..<6).map { _ in try register.create() }
        let all = CustomerDirectory.Selection(search: nil, isArchived: nil)
        let first = try register.directory.page(of: all, after: nil, limit: 3, deadline: .soon)
        _ = try register.create()
        _ = try register.move(made[0].id, .away)
        let second = try register.directory.page(of: all, after: first.next, limit: 3, deadline: .soon)
        #expect((first.customers + second.customers).map(\.id) == made.reversed().map(\.id))
        #expect(second.next == nil)
        let fault = problem {
            _ = try register.directory.page(of: all, after: "nobody", limit: 3, deadline: .soon)
        }
        #expect(fault?.status == 400)
        #expect(fault?.errors.map(\.pointer) == ["/query/after"])
    }

    @Test func archivedOrNot() throws {
        let made = try (0..<9).map { _ in try register.create() }
        for index in [1, 4, 7] { _ = try register.archive(made[index].id) }
        #expect(try register.list(archived: true, limit: 2).joined().map(\.id) == [7, 4, 1].map { made[$0].id })
        #expect(try register.list(archived: false, limit: 2).joined().count == 6)
        #expect(try register.list("customer", archived: true, limit: 2).joined().count == 3)
        #expect(try register.list("customer", archived: false, limit: 2).joined().count == 6)
        #expect(try register.list(limit: 2).joined().count == 9)
    }

    @Test("part of the email, street, city or country, in whatever case")
    func search() throws {
        let barley = try register.create(
            "Barley.McMalt@Example.com", .init(street: "Straße 5", city: "SÃO PAULO", country: "Brazil"))
        let hops = try register.create("hops@beer.test", .init(street: "Ærø 1", city: "Köln", country: "Germany"))
        for term in ["barley", "BARLEY", "mcm", "y.m", "@exam", "são p", "SÃO", "straße", "raß", "Ã", "5", "e 5", "il"]
        {
            #expect(try register.found(term) == [barley.email.text], "\(term)")
        }
        for term in ["ærø", "KÖLN", "ö", "ps@be", "ger"] {
            #expect(try register.found(term) == [hops.email.text], "\(term)")
        }
        #expect(try register.found("e").count == 2)
        #expect(try register.found("com5").isEmpty, "no term goes across two fields")
        #expect(try register.found("example.comstra").isEmpty)
        _ = try register.move(hops.id, .away)
        #expect(try register.found("köln").isEmpty)
        #expect(try register.found("cervejas") == [hops.email.text])
    }

    @Test(
        "characters that mean something to LIKE or to a regular expression mean themselves",
        arguments: [
            "100%", "%", "a_b", "_", "c\\d", "\\", "\\%", ".*", "'", "\"x\"", "[1]", "%%%", "a%b", "$1", "--", "^",
        ])
    func escapes(term: String) throws {
        for street in ["100%", "a_b", "c\\d", "\\%", ".*", "it's", "\"x\"", "[1]", "%%%", "a%b", "$1", "--", "^"] {
            _ = try register.create(nil, .init(street: street, city: "axb", country: "cxd 100 a1b"))
        }
        let all = try register.list().joined()
        let meant = all.filter { customer in
            [customer.email.text, customer.address.street, customer.address.city, customer.address.country]
                .contains { $0.lowercased().contains(term.lowercased()) }
        }
        #expect(!meant.isEmpty)
        #expect(try register.found(term) == Set(meant.map { $0.email.text }))
    }

    @Test("across the shelves of the search, in every order of finding, as a plain look at every row has it")
    func shelves() throws {
        // Three shelves: a common word everywhere, one in old ones only, one so often that a shelf is read in order,
        // and rare ones.
        try fill(
            1..<70_000,
            street: """
                'common ' || CASE WHEN n < 20000 THEN 'oldword ' ELSE '' END
                    || CASE WHEN n % 30000 = 17 THEN 'rareword zq ' ELSE '' END
                    || CASE WHEN n BETWEEN 30000 AND 40000 AND n % 3 = 0 THEN 'middling ' ELSE '' END
                """, archived: "n % 10 = 0")
        for term in ["common", "oldword", "rareword", "zq", "middling", "c6", "c12345@", "q", "nothing", "ld w", "%"] {
            for archived in [nil, true, false] {
                for before in [nil, 69_999, 32_769, 32_768, 32_767, 20_001, 18, 1] {
                    for size in [1, 101, 300] {
                        let found = try register.run(
                            "SELECT * FROM customer_page(\(term), \(archived), \(before), \(size))")
                        let meant = try register.run(
                            """
                            SELECT number FROM customer
                            WHERE strpos(search_text, \(term)) > 0
                                AND (\(archived)::boolean IS NULL OR is_archived = \(archived))
                                AND (\(before)::bigint IS NULL OR number < \(before))
                            ORDER BY number DESC LIMIT \(size)
                            """)
                        let numbers = try (found.map { try $0.decode(Int.self) }, meant.map { try $0.decode(Int.self) })
                        try #require(
                            numbers.0 == numbers.1,
                            "\(term), archived \(archived.map { "\($0)" } ?? "or not"), before \(before ?? 0), \(size)")
                    }
                }
            }
        }
    }
}
