import Postgres
import Runtime
import TestSupport
import Testing

/// What the README promises, through the real gateway, on an instance with nothing configured.
@Suite(.serialized) struct WalkthroughTests {
    let shop: PrivateInstance
    let database: Database
    let club: Int

    init() throws {
        shop = try PrivateInstance.whole.get()
        database = try shop.database()
        club = try shop.club(in: database)
    }

    @Test func subscribePauseResumeListCharge() throws {
        let http = shop.http
        let customer = "00000000-0000-0000-000-0000000000000"
        let made = try http.request("POST", "/club/\(club)/subscribe/", json: #"{"customer_id":"\#(customer)"}"#)
        #expect(made.status == 200)
        let body = try made.json()
        #expect(body["club_id"]?.integer == club && body["customer_id"]?.string == customer)
        #expect(body["status_id"]?.integer == 1 && body["create_date"]?.string?.hasSuffix("Z") == true)
        let id = try #require(body["id"]?.string)

        let again = try http.request("POST", "/club/\(club)/subscribe", json: #"{"customer_id":"\#(customer)"}"#)
        #expect(again.status == 409 && again.problem == "already-subscribed")
        #expect(try again.json()["subscription_id"]?.string == id)

        let pause = try http.request("POST", "/subscription/\(id)/status/", json: #"{"status_id":3,"interval":30}"#)
        #expect(pause.status == 200)
        #expect(try pause.json()["returns_at"]?.string != nil)
        #expect(!(try eligible().contains(id)))
        let refused = try http.request("POST", "/subscription/\(id)/charge/\(id)-1")
        #expect(refused.status == 409 && refused.problem == "not-chargeable")

        #expect(try http.request("POST", "/subscription/\(id)/status/", json: #"{"status_id":1}"#).status == 200)
        #expect(try eligible().contains(id))

        let charged = try http.request("POST", "/subscription/\(id)/charge/\(id)-1")
        #expect(charged.status == 200, "\(charged.text)")
        #expect(charged.headers["idempotent-replayed"] == nil)
        let receipt = try charged.json()
        #expect(receipt["status"]?.string == "charged" && receipt["request_id"]?.string == "\(id)-1")
        #expect(receipt["order"]?["sku_id"]?.integer == 4711)
        let replay = try http.request("POST", "/subscription/\(id)/charge/\(id)-2")
        #expect(replay.status == 200 && replay.body == charged.body)
        #expect(replay.headers["idempotent-replayed"] == "true")
        let orders = try shop.database("orders").execute(
            "SELECT count(*) FROM platform_order WHERE customer_id = \(customer)", deadline: .soon)
        #expect(try orders[0].decode(Int.self) == 1)

        let record = try http.request("GET", "/subscription/\(id)").json()
        #expect(record["status"]?["name"]?.string == "ATIVO")
        #expect(record["charges"]?.elements.count == 1 && record["history"]?.elements.count == 3)
    }

    func eligible() throws -> [String] {
        let answer = try shop.http.request("GET", "/subscription/eligible")
        #expect(answer.status == 200 && answer.headers["content-type"] == "application/json")
        return try answer.json().elements.compactMap(\.string)
    }

    @Test func eligiblePages() throws {
        let ids = try (0..<5).map { _ in try shop.subscription(inClub: club) }
        var seen: [String] = []
        var target = "/subscription/eligible?limit=2"
        while true {
            let page = try shop.http.request("GET", target)
            seen += try page.json().elements.compactMap(\.string)
            guard let link = page.headers["link"] else { break }
            #expect(link.hasSuffix(#">; rel="next""#))
            target = String(link.dropFirst().prefix { $0 != ">" })
        }
        #expect(Set(ids).isSubset(of: seen))
        #expect(Set(seen).count == seen.count)
        for bad in ["limit=0", "limit=10001", "limit=x", "after=a", "limit=5&after=", "limit=5&after=%00"] {
            let answer = try shop.http.request("GET", "/subscription/eligible?\(bad)")
            #expect(answer.status == 400 && !answer.pointers.isEmpty, "\(bad): \(answer.text)")
        }
    }

    @Test func readersFindWhatTheyNeed() throws {
        let clubs = try shop.http.request("GET", "/club/").json()["clubs"]?.elements ?? []
        #expect(clubs.contains { $0["id"]?.integer == club && $0["status"]?["id"]?.integer == 1 })
        #expect(try shop.http.request("GET", "/livez").status == 200)
        #expect(try shop.http.request("GET", "/readyz").status == 200)
        let head = try shop.http.request("HEAD", "/club/")
        #expect(head.status == 200 && head.body.isEmpty)
        #expect(try shop.http.request("GET", "/subscription/nobody").problem == "subscription-not-found")
        let preflight = try shop.http.request("OPTIONS", "/club/1/subscribe/")
        #expect(preflight.status == 204 && preflight.headers["access-control-allow-origin"] == "*")
        let named = try shop.http.request("GET", "/livez", headers: [("X-Request-Id", "my.request_1")])
        #expect(named.headers.values("x-request-id") == ["my.request_1"])
        #expect(named.headers.values("traceparent").count == 1)
    }

    @Test func aHundredRacingSubscribes() throws {
        let answers = try concurrently(100) { [shop, club] _ in
            try shop.http.request("POST", "/club/\(club)/subscribe/", json: #"{"customer_id":"racer"}"#)
        }
        let busy = answers.filter { $0.status == 503 }
        #expect(answers.count { $0.status == 200 } == 1)
        #expect(answers.count { $0.status == 409 } == 99 - busy.count)
        for answer in busy { #expect(try answer.json()["executed"]?.string == "no") }
        let rows = try database.execute("SELECT count(*) FROM subscription WHERE club_id = \(club)", deadline: .soon)
        #expect(try rows[0].decode(Int.self) == 1)
    }

    @Test func theLocalPlatformMakesOneOrderForARequestID() throws {
        let configuration = try shop.credentials()
        let id = shop.unique("order")
        func order(_ body: String, headers: [(String, String)]) throws -> HTTPProbe.Response {
            try shop.http.request("POST", "/ecommerce/order/\(id)", headers: headers, json: body)
        }
        let payload = #"{"customer_id":"c","sku_id":1}"#
        for wrong in [[], [("x-api-key", configuration[0].1)], [configuration[0], ("x-api-secret", "guess")]] {
            let refused = try order(payload, headers: wrong)
            #expect(refused.status == 401 && refused.problem == "unauthorized")
        }
        let first = try order(payload, headers: configuration)
        let second = try order(payload, headers: configuration)
        #expect(first.status == 200 && second.status == 200 && first.body == second.body)
        let other = try order(#"{"customer_id":"c","sku_id":2}"#, headers: configuration)
        #expect(other.status == 409 && other.problem == "order-conflict")
        #expect(try order(#"{"customer_id":7}"#, headers: configuration).pointers == ["/customer_id", "/sku_id"])
    }

    @Test("outsiders may delete a subscription and insert it again while the service runs")
    func deletion() throws {
        let id = try shop.subscription(inClub: club)
        try database.execute("DELETE FROM subscription_status_history WHERE subscription_id = \(id)", deadline: .never)
        #expect(try shop.http.request("POST", "/subscription/\(id)/charge/\(id)-x").status == 200)
        try database.execute("DELETE FROM subscription WHERE id = \(id)", deadline: .never)
        #expect(try shop.http.request("POST", "/subscription/\(id)/charge/\(id)-x").status == 404)
        try database.execute("INSERT INTO subscription VALUES (\(id), \(club), 'again', NULL)", deadline: .never)
        let again = try shop.http.request("POST", "/subscription/\(id)/charge/\(id)-y")
        #expect(again.status == 200 && again.headers["idempotent-replayed"] == nil)
    }
}
