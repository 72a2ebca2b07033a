import Postgres
import Runtime
import TestSupport
import Testing

/// Each gets the contract's refusal, nothing is written, nothing is logged as an error, and no input gives a 500.
@Suite struct BadInputTests {
    let shop: PrivateInstance

    init() throws { shop = try PrivateInstance.whole.get() }

    static let deep = String(repeating: "[", count: 10_000)
    static let sql = "'; DROP TABLE subscription; --"

    /// A request, its status, and the pointers that the answer must name.
    static let cases: [(String, String, String?, Int, [String])] = [
        ("POST", "/club/CLUB/subscribe/", #"{"customer_id":"#, 400, [""]),
        ("POST", "/club/CLUB/subscribe/", "", 400, [""]),
        ("POST", "/club/CLUB/subscribe/", nil, 400, [""]),
        ("POST", "/club/CLUB/subscribe/", "null", 400, [""]),
        ("POST", "/club/CLUB/subscribe/", "[1]", 400, [""]),
        ("POST", "/club/CLUB/subscribe/", deep, 400, [""]),
        ("POST", "/club/CLUB/subscribe/", #"{"customer_id":\#(deep)}"#, 400, [""]),
        ("POST", "/club/CLUB/subscribe/", "{}", 400, ["/customer_id"]),
        ("POST", "/club/CLUB/subscribe/", #"{"customer_id":null}"#, 400, ["/customer_id"]),
        ("POST", "/club/CLUB/subscribe/", #"{"customer_id":""}"#, 400, ["/customer_id"]),
        ("POST", "/club/CLUB/subscribe/", #"{"customer_id":5}"#, 400, ["/customer_id"]),
        ("POST", "/club/CLUB/subscribe/", #"{"customer_id":{"a":1}}"#, 400, ["/customer_id"]),
        ("POST", "/club/CLUB/subscribe/", #"{"customer_id":"a\u0000b"}"#, 400, ["/customer_id"]),
        ("POST", "/club/CLUB/subscribe/", #"{"customer_id":"\ud800"}"#, 400, ["/customer_id"]),
        (
            "POST", "/club/CLUB/subscribe/", #"{"customer_id":"\#(String(repeating: "x", count: 37))"}"#, 400,
            ["/customer_id"]
        ),
        ("POST", "/club/0/subscribe/", #"{"customer_id":"a"}"#, 404, []),
        ("POST", "/club/x/subscribe/", #"{"customer_id":"a"}"#, 404, []),
        ("POST", "/club/+CLUB/subscribe/", #"{"customer_id":"a"}"#, 404, []),
        ("POST", "/club/0CLUB/subscribe/", #"{"customer_id":"a"}"#, 404, []),
        ("POST", "/club/99999999999999999999/subscribe/", #"{"customer_id":"a"}"#, 404, []),
        ("POST", "/club/%00/subscribe/", #"{"customer_id":"a"}"#, 400, []),
        ("POST", "/club/1%2F2/subscribe/", #"{"customer_id":"a"}"#, 404, []),
        ("POST", "/club/%27%3B%20DROP%20TABLE%20club%3B/subscribe/", #"{"customer_id":"a"}"#, 404, []),
        ("POST", "/subscription/nobody/status/", #"{"status_id":1}"#, 404, []),
        ("POST", "/subscription/\(String(repeating: "x", count: 37))/status/", #"{"status_id":1}"#, 404, []),
        ("POST", "/subscription/SUB/status/", #"{"status_id":4}"#, 400, ["/status_id"]),
        ("POST", "/subscription/SUB/status/", #"{"status_id":"1"}"#, 400, ["/status_id"]),
        ("POST", "/subscription/SUB/status/", #"{"status_id":1.5}"#, 400, ["/status_id"]),
        ("POST", "/subscription/SUB/status/", #"{"status_id":99999999999999999999}"#, 400, ["/status_id"]),
        ("POST", "/subscription/SUB/status/", #"{"status_id":1e400}"#, 400, ["/status_id"]),
        ("POST", "/subscription/SUB/status/", #"{"status_id":1,"interval":5}"#, 400, ["/interval"]),
        ("POST", "/subscription/SUB/status/", #"{"status_id":3,"interval":0}"#, 400, ["/interval"]),
        ("POST", "/subscription/SUB/status/", #"{"status_id":3,"interval":3651}"#, 400, ["/interval"]),
        ("POST", "/subscription/SUB/status/", #"{"status_id":3,"interval":1.5}"#, 400, ["/interval"]),
        ("POST", "/subscription/SUB/status/", #"{"status_id":3,"effect_date":"2026-02-30"}"#, 400, ["/effect_date"]),
        ("POST", "/subscription/SUB/status/", #"{"status_id":3,"effect_date":"\#(sql)"}"#, 400, ["/effect_date"]),
        (
            "POST", "/subscription/SUB/status/", #"{"status_id":3,"details":"\#(String(repeating: "d", count: 257))"}"#,
            400, ["/details"]
        ),
        (
            "POST", "/subscription/SUB/status/",
            #"{"status_id":"a","effect_date":1,"interval":"b","details":[]}"#, 400,
            ["/status_id", "/effect_date", "/interval", "/details"]
        ),
        ("POST", "/subscription/SUB/charge/with%20space", nil, 400, ["/path/request_id"]),
        ("POST", "/subscription/SUB/charge/\(String(repeating: "r", count: 129))", nil, 400, ["/path/request_id"]),
        ("POST", "/subscription/SUB/charge/a%2Fb", nil, 404, []),
        ("POST", "/subscription/SUB/charge/%FF", nil, 400, []),
        ("GET", "/subscription/%ff", nil, 400, ["/path/id"]),
        ("GET", "/subscription/\(String(repeating: "%27", count: 20))", nil, 404, []),
        ("GET", "/club/1/subscribe/", nil, 405, []), ("DELETE", "/subscription/eligible", nil, 405, []),
        ("PUT", "/subscription/SUB/status/", "{}", 405, []), ("GET", "/nowhere", nil, 404, []),
        ("POST", "/club/CLUB/subscribe/", String(repeating: " ", count: 65_537), 413, []),
    ]

    @Test func everyCaseIsRefused() throws {
        let database = try shop.database()
        let club = try shop.club(in: database)
        let subscription = try shop.subscription(inClub: club)
        func rows() throws -> [Int] {
            let counts = try database.execute(
                """
                SELECT (SELECT count(*) FROM subscription WHERE club_id = \(club)),
                       (SELECT count(*) FROM subscription_status_history WHERE subscription_id = \(subscription)),
                       (SELECT count(*) FROM charge WHERE subscription_id = \(subscription))
                """, deadline: .soon)[0].decode(Int.self, Int.self, Int.self)
            return [counts.0, counts.1, counts.2]
        }
        let before = try rows()
        for (method, target, body, status, pointers) in Self.cases {
            let target = target.replacing("CLUB", with: "\(club)").replacing("SUB", with: subscription)
            let answer =
                if let body {
                    try shop.http.request(method, target, json: body)
                } else {
                    try shop.http.request(method, target)
                }
            let what = "\(method) \(target.prefix(80)) \((body ?? "").prefix(60)): \(answer.status) \(answer.text)"
            #expect(answer.status == status, "\(what)")
            #expect(answer.headers["content-type"] == "application/problem+json", "\(what)")
            #expect(try answer.json()["status"]?.integer == status, "\(what)")
            if status == 405 { #expect(answer.headers["allow"] != nil, "\(what)") }
            if !pointers.isEmpty { #expect(answer.pointers == pointers, "\(what)") }
        }
        #expect(try rows() == before)
        for function in ["subscribe", "status", "charge", "subscription"] {
            let errors = try shop.log(function).filter { ["error", "critical"].contains($0["level"]?.string) }
            #expect(errors.isEmpty, "\(function): \(errors)")
        }
    }

    @Test("other content types", arguments: ["text/plain", "application/x-www-form-urlencoded", "nonsense", "*/*"])
    func contentTypes(type: String) throws {
        let answer = try shop.http.request(
            "POST", "/club/1/subscribe/", headers: [("Content-Type", type)], json: #"{"customer_id":"a"}"#)
        #expect(answer.status == 415 && answer.problem == "unsupported-media-type", "\(answer.text)")
    }

    @Test("SQL in a field is a text like any other")
    func sqlInFields() throws {
        let club = try shop.club(in: try shop.database())
        let made = try shop.http.request(
            "POST", "/club/\(club)/subscribe/", json: #"{"customer_id":"\#(Self.sql)"}"#)
        #expect(made.status == 200)
        let id = try #require(try made.json()["id"]?.string)
        #expect(
            try shop.http.request(
                "POST", "/subscription/\(id)/status/", json: #"{"status_id":3,"details":"\#(Self.sql)"}"#
            )
            .status == 200)
        let record = try shop.http.request("GET", "/subscription/\(id)").json()
        #expect(record["customer_id"]?.string == Self.sql)
        #expect(record["history"]?.elements.contains { $0["details"]?.string == Self.sql } == true)
    }
}
