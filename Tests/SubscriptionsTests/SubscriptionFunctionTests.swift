import Subscriptions
import TestSupport
import Testing

/// The functions' processes, where the contract says more than the library behind them knows.
@Suite struct SubscriptionFunctionTests {
    let shop: Shop
    let subscription: String

    init() throws {
        shop = try Shop()
        subscription = try shop.subscription(club: try shop.club(), history: [(StatusID.active, "-1 day")])
    }

    private func function(_ executable: String, _ route: String) throws -> FunctionProcess {
        try FunctionProcess(executable, routes: [route], timeout: 20, environment: ["DATABASE_URL": shop.url])
    }

    @Test("which intervals and effect dates a pause may have")
    func pauses() throws {
        let status = try function("StatusFunction", "POST /subscription/{id}/status/")
        func pause(_ members: String) throws -> FastCGIResponse {
            try status.request(
                "POST", "/subscription/\(subscription)/status/", body: Array("{\"status_id\":3,\(members)}".utf8))
        }
        for (interval, back) in [
            ("null", nil), ("1", "2030-01-03"), ("30.0", "2030-02-01"), ("3650", "2039-12-31"),
        ] as [(String, String?)] {
            let answer = try pause("\"effect_date\":\"2030-01-02\",\"interval\":\(interval)")
            #expect(answer.status == 200, "\(interval): \(answer.text)")
            #expect(try answer.json()["returns_at"]?.string == back.map { $0 + "T00:00:00Z" }, "\(interval)")
        }
        for interval in ["0", "3651", "30.5", "\"30\"", "1e300"] {
            #expect(try pause("\"interval\":\(interval)").pointers == ["/interval"], "\(interval)")
        }
        #expect(
            try pause("\"effect_date\":\"9999-12-31\"").json()["effect_date"]?.string == "9999-12-31T00:00:00Z")
        let beyond = try pause("\"effect_date\":\"9999-12-31\",\"interval\":1")
        #expect(beyond.status == 400 && beyond.pointers == ["/effect_date"], "\(beyond.text)")
        #expect(try pause("\"effect_date\":\"9999-12-31\",\"interval\":3651").pointers == ["/interval"])
    }

    @Test func headHasTheHeadersOfGetAndNoBody() throws {
        _ = try shop.subscription(club: try shop.club(), history: [(StatusID.active, "-1 day")])
        for (executable, route, targets) in [
            (
                "EligibleFunction", "/subscription/eligible",
                ["/subscription/eligible", "/subscription/eligible?limit=1"]
            ),
            ("SubscriptionFunction", "/subscription/{id}", ["/subscription/\(subscription)"]),
        ] {
            let function = try function(executable, "GET \(route)")
            for target in targets {
                let get = try function.request("GET", target)
                let head = try function.request("HEAD", target)
                #expect(get.status == 200 && !get.body.isEmpty && head.status == 200 && head.body.isEmpty, "\(target)")
                for name in ["Content-Type", "Content-Length", "Link"] {
                    #expect(head.headers[name] == get.headers[name], "\(name) of \(target)")
                }
                #expect((head.headers["Link"] != nil) == target.hasSuffix("limit=1"))
            }
        }
    }
}
