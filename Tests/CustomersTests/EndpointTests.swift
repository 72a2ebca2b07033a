import Postgres
import Runtime
import TestSupport
import Testing

@testable import Customers

/// The functions as processes, by the contract.
@Suite struct EndpointTests {
    let register: Register

    init() throws { register = try Register() }

    private func function(_ name: String, _ routes: String...) throws -> FunctionProcess {
        try FunctionProcess(
            name, routes: routes, environment: ["DATABASE_URL": register.url, "OUTBOX_SIGNAL": "/nonexistent/signal"])
    }

    private func createCustomer() throws -> FunctionProcess {
        try function("CreateCustomerFunction", "POST /api/v1/customers")
    }

    private static let body =
        #"{"email": " Barley@Example.com\n", "address": {"street": " Hopfengasse 1 ", "city": "München", "country": "Germany", "zip": 1}, "x": 0}"#

    private static let complete = ["email", "address", "id", "created_at", "is_archived", "purchased_at"]

    @Test func creates() throws {
        let answer = try createCustomer().request("POST", "/api/v1/customers/", body: Array(Self.body.utf8))
        #expect(answer.status == 201)
        let customer = try answer.json()
        guard case .object(let members) = customer else { Issue.record("no object: \(customer)"); return }
        #expect(Set(members.keys) == Set(Self.complete))
        let id = try #require(customer["id"]?.string)
        #expect(answer.headers["Location"] == "/api/v1/customers/\(id)")
        #expect(answer.headers["ETag"] == "\"1\"")
        #expect(customer["email"] == .string("Barley@Example.com"))
        #expect(customer["address"]?["street"] == .string("Hopfengasse 1"))
        #expect(customer["purchased_at"] == .null && customer["is_archived"] == .bool(false))
        #expect(try TestJSON(parsing: JSON.encode(register.customer(id))) == customer)
        let cause = try register.run("SELECT correlation_id, traceparent FROM outbox")[0].decode(
            String.self, String.self)
        #expect(!cause.0.isEmpty && cause.1.hasPrefix("00-"))
    }

    @Test func refusesATakenEmail() throws {
        let function = try createCustomer()
        _ = try function.request("POST", "/api/v1/customers", body: Array(Self.body.utf8))
        let again = try function.request("POST", "/api/v1/customers", body: Array(Self.body.lowercased().utf8))
        #expect(again.status == 409)
        #expect(again.problem == "email-taken")
    }

    @Test(
        "every bad field at once",
        arguments: [
            ("{}", ["/email", "/address"]), (#"{"email": 1, "address": []}"#, ["/email", "/address"]),
            (#"{"email": null, "address": {}}"#, ["/email", "/address/street", "/address/city", "/address/country"]),
            (
                #"{"email": "a b@c", "address": {"street": "", "city": " \n ", "country": 7}}"#,
                ["/email", "/address/street", "/address/city", "/address/country"]
            ),
            (
                #"{"email": "a\u0000@b", "address": {"street": "a\u0000", "city": "a\nb", "country": "x"}}"#,
                ["/email", "/address/street", "/address/city"]
            ),
            (
                #"{"email": "a@b", "address": {"street": "\#(String(repeating: "ü", count: 201))", "city": "x", "country": "\u0007"}}"#,
                ["/address/street", "/address/country"]
            ),
            (#"{"email": "a@b", "address": {"street": "\ud800", "city": "x", "country": "y"}}"#, ["/address/street"]),
            ("[]", [""]), ("nonsense", [""]), ("", [""]),
        ])
    func refusesBadInput(body: String, pointers: [String]) throws {
        let answer = try createCustomer().request("POST", "/api/v1/customers", body: Array(body.utf8))
        #expect(answer.status == 400, "\(answer.text)")
        #expect(answer.problem == "bad-request")
        #expect(Set(answer.pointers) == Set(pointers))
        #expect(try register.count("SELECT count(*) FROM customer") == 0)
    }

    @Test func takesTheLongestFields() throws {
        let long = String(repeating: "🍺", count: 200)
        let body = #"{"email": "a@b", "address": {"street": "\#(long)", "city": "  \#(long)  ", "country": "x"}}"#
        #expect(try createCustomer().request("POST", "/api/v1/customers", body: Array(body.utf8)).status == 201)
    }

    @Test func refusesWhatIsNotJSON() throws {
        let answer = try createCustomer().request(
            "POST", "/api/v1/customers", parameters: [("CONTENT_TYPE", "text/plain")], body: Array(Self.body.utf8))
        #expect(answer.status == 415)
    }

    @Test func showsOneAndItsHistory() throws {
        let get = try function("GetCustomerFunction", "GET /api/v1/customers/{id}")
        let events = try function("CustomerEventsFunction", "GET /api/v1/customers/{id}/events")
        let made = try register.create()
        _ = try register.move(made.id, .away)
        try register.buy(made.email.text, at: "2026-11-01T00:00:00Z", order: "o-1")
        let answer = try get.request("GET", "/api/v1/customers/\(made.id)")
        #expect(answer.status == 200)
        #expect(answer.headers["ETag"] == "\"3\"")
        #expect(try answer.json()["purchased_at"] == .string("2026-11-01T00:00:00Z"))
        let history = try events.request("GET", "/api/v1/customers/\(made.id)/events").json()["events"]?.elements ?? []
        #expect(history.map { $0["version"]?.integer } == [1, 2, 3])
        #expect(
            history.map { $0["type"]?.string } == [
                "customer.created", "customer.address_updated", "customer.purchased",
            ])
        #expect(history.first?["data"]?["email"] == .string(made.email.text))
        #expect(history.first?["causation_id"] == .string("request"))
        #expect(
            history.last?["data"]
                == .object(["purchased_at": .string("2026-11-01T00:00:00Z"), "order": .string("o-1")]))
        for id in ["nobody", String(repeating: "x", count: 37), "%F0%9F%8D%BA"] {
            #expect(try get.request("GET", "/api/v1/customers/\(id)").problem == "customer-not-found")
            #expect(try events.request("GET", "/api/v1/customers/\(id)/events").problem == "customer-not-found")
        }
    }

    @Test func replacesTheAddress() throws {
        let put = try function("UpdateAddressFunction", "PUT /api/v1/customers/{id}/address")
        let made = try register.create()
        func request(_ id: String, _ street: String, ifMatch: String? = nil) throws -> FastCGIResponse {
            try put.request(
                "PUT", "/api/v1/customers/\(id)/address", parameters: ifMatch.map { [("HTTP_IF_MATCH", $0)] } ?? [],
                body: Array(#"{"street": "\#(street)", "city": "Köln", "country": "Germany"}"#.utf8))
        }
        #expect(try request("nobody", "A").problem == "customer-not-found")
        let first = try request(made.id, "A")
        #expect(first.status == 200 && first.headers["ETag"] == "\"2\"")
        #expect(try first.json()["address"]?["city"] == .string("Köln"))
        #expect(
            try request(made.id, "A", ifMatch: "\"2\"").headers["ETag"] == "\"2\"", "the same again changes nothing")
        #expect(try request(made.id, "B", ifMatch: "\"1\"").problem == "precondition-failed")
        #expect(try request(made.id, "B", ifMatch: "W/\"2\"").status == 412)
        #expect(try request(made.id, "B", ifMatch: "2").status == 412)
        #expect(try request(made.id, "B", ifMatch: "\"1\", \"2\"").headers["ETag"] == "\"3\"")
        #expect(try request(made.id, "C", ifMatch: "*").headers["ETag"] == "\"4\"")
        #expect(try request("nobody", "C", ifMatch: "*").status == 404)
        let bad = try put.request("PUT", "/api/v1/customers/\(made.id)/address", body: Array(#"{"street": 1}"#.utf8))
        #expect(bad.status == 400 && Set(bad.pointers) == ["/street", "/city", "/country"])
        _ = try register.archive(made.id)
        #expect(try request(made.id, "D").problem == "customer-archived")
        #expect(try request(made.id, "D").status == 409)
    }

    @Test func anEmptyIfMatchNamesNoVersion() throws {
        let put = try function("UpdateAddressFunction", "PUT /api/v1/customers/{id}/address")
        let made = try register.create()
        let answer = try put.request(
            "PUT", "/api/v1/customers/\(made.id)/address", parameters: [("HTTP_IF_MATCH", "")],
            body: Array(#"{"street": "A", "city": "Köln", "country": "Germany"}"#.utf8))
        #expect(answer.status == 412 && answer.problem == "precondition-failed")
        #expect(try register.customer(made.id) == made)
    }

    @Test("archiving, by POST or by DELETE", arguments: ["POST", "DELETE"])
    func archives(method: String) throws {
        let function = try function(
            "ArchiveCustomerFunction", "POST /api/v1/customers/{id}/archive", "DELETE /api/v1/customers/{id}")
        let end = method == "POST" ? "/archive" : ""
        let made = try register.create()
        let stale = try function.request(
            method, "/api/v1/customers/\(made.id)\(end)", parameters: [("HTTP_IF_MATCH", "\"7\"")])
        #expect(stale.problem == "precondition-failed" && stale.status == 412)
        for _ in 0..<2 {
            let answer = try function.request(method, "/api/v1/customers/\(made.id)\(end)")
            #expect(answer.status == 200 && answer.headers["ETag"] == "\"2\"")
            #expect(try answer.json()["is_archived"] == .bool(true))
        }
        #expect(try function.request(method, "/api/v1/customers/nobody\(end)").problem == "customer-not-found")
        #expect(try register.count("SELECT count(*) FROM outbox WHERE type = 'customer.archived'") == 1)
    }

    @Test func lists() throws {
        let function = try function("ListCustomersFunction", "GET /api/v1/customers")
        for index in 0..<5 { _ = try register.create("c\(index)@example.com", .numbered(index)) }
        func request(_ query: String) throws -> FastCGIResponse {
            try function.request("GET", "/api/v1/customers?\(query)")
        }
        var target = "/api/v1/customers?search=%20BREWER+street&archived=false&limit=2"
        var emails: [String] = []
        var pages = 0
        while true {
            let answer = try function.request("GET", target)
            #expect(answer.status == 200)
            emails += try answer.json()["customers"]?.elements.compactMap { $0["email"]?.string } ?? []
            pages += 1
            guard let link = answer.headers["Link"] else { break }
            target = String(try #require(link.wholeMatch(of: /<(.*)>; rel="next"/)).1)
        }
        #expect(pages == 3)
        #expect(emails == (0..<5).reversed().map { "c\($0)@example.com" })
        #expect(try request("").json()["customers"]?.elements.count == 5)
        #expect(try request("search=&archived=").json()["customers"]?.elements.count == 5)
        #expect(try request("archived=true").json()["customers"]?.elements.count == 0)
        #expect(try request("limit=5").headers["Link"] == nil)
    }

    @Test(
        "what a list refuses",
        arguments: [
            ("limit=0", ["/query/limit"]), ("limit=101", ["/query/limit"]), ("limit=x", ["/query/limit"]),
            ("archived=yes", ["/query/archived"]), ("search=a%00b", ["/query/search"]),
            ("search=\(String(repeating: "x", count: 255))", ["/query/search"]), ("after=nobody", ["/query/after"]),
            ("after=%00", ["/query/after"]), ("after=", ["/query/after"]), ("search=a%0Ab", ["/query/search"]),
            (
                "limit=-1&archived=1&after=\(String(repeating: "y", count: 37))",
                ["/query/archived", "/query/limit", "/query/after"]
            ),
        ])
    func refusesBadLists(query: String, pointers: [String]) throws {
        let function = try function("ListCustomersFunction", "GET /api/v1/customers")
        let answer = try function.request("GET", "/api/v1/customers?\(query)")
        #expect(answer.status == 400, "\(answer.text)")
        #expect(Set(answer.pointers) == Set(pointers))
    }

    @Test("a parameter that cannot be decoded is refused where it is read", arguments: ["%ff", "%zz", "\u{E9}%c3"])
    func refusesWhatCannotBeDecoded(text: String) throws {
        let function = try function("ListCustomersFunction", "GET /api/v1/customers")
        for name in ["search", "archived", "limit", "after"] {
            let answer = try function.request("GET", "/api/v1/customers?\(name)=\(text)")
            #expect(answer.status == 400 && answer.pointers == ["/query/\(name)"], "\(answer.text)")
        }
        #expect(try function.request("GET", "/api/v1/customers?other=\(text)").status == 200)
    }

    @Test func aDatabaseThatIsAwayIsA503() throws {
        let function = try FunctionProcess(
            "GetCustomerFunction", routes: ["GET /api/v1/customers/{id}"],
            environment: ["DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"])
        let answer = try function.request("GET", "/api/v1/customers/x")
        #expect(answer.status == 503 && answer.problem == "database-unavailable")
    }

    @Test func aPageHoldsTwentyUnlessItIsToldOtherwise() throws {
        for _ in 1...21 { _ = try register.create() }
        let answer = try function("ListCustomersFunction", "GET /api/v1/customers").request("GET", "/api/v1/customers")
        #expect(try answer.json()["customers"]?.elements.count == 20 && answer.headers["Link"] != nil)
    }
}
