import Charging
import Postgres
import Runtime
import Subscriptions
import TestSupport
import Testing

/// What leaves nobody knowing whether the platform charged, and what the caller is told.
private let doubtfulAnswers: [(String, PlatformBehaviour, Int, String)] = [
    ("500 after acting", .actAndAnswer(500), 502, "platform-error"),
    ("503 before acting", .answer(503), 502, "platform-error"),
    ("a redirect", .answer(302, headers: [("Location", "/elsewhere")]), 502, "platform-error"),
    ("no JSON", .actAndAnswer(200, "<html>"), 502, "platform-error"),
    ("a comma too many", .actAndAnswer(200, #"{"id":1,}"#), 502, "platform-error"),
    ("no escape of JSON", .actAndAnswer(200, #"{"a":"\q"}"#), 502, "platform-error"),
    ("no number of JSON", .actAndAnswer(200, #"{"n":01}"#), 502, "platform-error"),
    ("two values", .actAndAnswer(200, "1,2"), 502, "platform-error"),
    (
        "too deep to stand in an event",
        .actAndAnswer(200, String(repeating: "[", count: 63) + String(repeating: "]", count: 63)), 502,
        "platform-error"
    ),
    ("garbage", .garbage, 504, "charge-outcome-unknown"),
    ("cut before acting", .cutBeforeActing, 504, "charge-outcome-unknown"),
    ("cut after acting", .cutAfterActing, 504, "charge-outcome-unknown"),
    ("cut in the answer", .cutInReply, 504, "charge-outcome-unknown"),
    ("10 MB", .huge, 504, "charge-outcome-unknown"),
]

@Suite struct ChargeTests: ChargeSuite {
    let setup: ChargeSetup

    init() throws { setup = try ChargeSetup() }

    func sentIDs() -> [String] { platform.requests.map(\.requestID) }

    @Test func sendsWhatTheRequirementSays() throws {
        let charged = try charge("r-1")
        #expect(!charged.isReplay)
        let request = try #require(platform.requests.first)
        #expect(request.method == "POST" && request.target == "/ecommerce/order/r-1")
        #expect(request.headers["x-api-key"] == "key" && request.headers["x-api-secret"] == "secret")
        #expect(request.headers["x-request-id"] == "test-request")
        #expect(request.headers["traceparent"] != nil)
        let body = try TestJSON(parsing: request.body)
        #expect(body["sku_id"]?.integer == 700)
        #expect(
            body["customer_id"]?.string
                == (try shop.run("SELECT customer_store_id FROM subscription")[0].decode(String.self)))
    }

    @Test("fifty racing charges call the platform once and all answer alike")
    func racing() throws {
        platform.behave { _ in PlatformBehaviour(before: .milliseconds(200)) }
        let answers = try concurrently(50) { index in try charge("race-\(index)").receipt.json }
        #expect(platform.requests.count == 1)
        #expect(Set(answers).count == 1)
    }

    @Test("an outcome that the database refuses is logged with what it said, not with the end of the time")
    func refusedOutcome() throws {
        try shop.run("ALTER TABLE charge ADD CONSTRAINT no_more CHECK (state <> 'charged')")
        let unrecorded = problem { try charge("r-1", milliseconds: 8000) }
        #expect(unrecorded?.status == 504 && unrecorded?.debug?.contains("no_more") == true, "\(unrecorded as Any)")
    }

    @Test func aReplayIsByteEqualWhateverTheRequestID() throws {
        let first = try charge("r-1")
        for request in ["r-1", "r-2"] {
            let again = try charge(request)
            #expect(again.isReplay)
            #expect(again.receipt.json == first.receipt.json)
        }
        // Also when it could not be charged any more.
        try shop.history(subscription, StatusID.cancelled, effect: "0 seconds")
        #expect(try charge("r-3").receipt.json == first.receipt.json)
        #expect(sentIDs() == ["r-1"])
    }

    @Test func aMonthLaterIsChargedAgain() throws {
        let first = try charge("r-1")
        try shop.run("UPDATE charge SET period = '2001-01'")
        #expect(problem { try charge("r-1") }?.slug == "request-id-reused")
        let second = try charge("r-2")
        #expect(!second.isReplay)
        #expect(second.receipt.period == first.receipt.period)
        #expect(sentIDs() == ["r-1", "r-2"])
    }

    @Test("the month is the one of the business time zone")
    func zone() throws {
        let periods = try shop.run(
            """
            SELECT billing_period('2026-11-30 23:30:00Z', 'UTC'), billing_period('2026-11-30 23:30:00Z', 'Asia/Tokyo'),
                   billing_period('2026-12-01 02:30:00Z', 'America/Sao_Paulo')
            """)[0].decode(String.self, String.self, String.self)
        #expect(periods == ("2026-11", "2026-12", "2026-11"))
        // Half an hour before midnight in UTC, at the end of November: elsewhere it is December.
        try shop.run(
            """
            CREATE OR REPLACE FUNCTION billing_period(p_at timestamptz, p_zone text) RETURNS char(7) LANGUAGE sql STABLE
            RETURN to_char(timestamptz '2026-11-30 23:30:00Z' AT TIME ZONE p_zone, 'YYYY-MM')
            """)
        #expect(try charge("r-1").receipt.period == "2026-11")
        let elsewhere = shop.desk(platform, zone: "Asia/Tokyo")
        let december = try elsewhere.charge(subscription: subscription, requestID: "r-2", .test())
        #expect(december.receipt.period == "2026-12" && !december.isReplay)
        #expect(sentIDs() == ["r-1", "r-2"])
    }

    @Test(
        "a platform that declines leaves the month open, for the same id or another",
        arguments: [400, 402, 404, 409, 410, 422])
    func declined(status: Int) throws {
        platform.behave { $0.ordinal < 2 ? .answer(status, #"{"why":"no credit"}"#) : .order }
        for request in ["r-1", "r-1"] {
            let refusal = problem { try charge(request) }
            #expect(refusal?.status == 402 && refusal?.slug == "charge-declined")
            #expect(refusal?.embedded["platform"]?.contains("no credit") == true)
        }
        #expect(try charge("r-2").receipt.requestID == "r-2")
        #expect(sentIDs() == ["r-1", "r-1", "r-2"])
    }

    @Test("what certainly charged nothing leaves the month open", arguments: [401, 403, 408, 425, 429])
    func released(status: Int) throws {
        platform.behave { $0.ordinal == 0 ? .answer(status, headers: [("Retry-After", "17")]) : .order }
        let refusal = problem { try charge("r-1") }
        if status == 401 || status == 403 {
            #expect(refusal?.status == 502 && refusal?.slug == "platform-refused-us")
        } else {
            #expect(refusal?.status == 503 && refusal?.slug == "platform-busy")
            #expect(refusal?.headers.contains { $0 == ("Retry-After", "17") } == true)
        }
        #expect(try charge("r-2").receipt.requestID == "r-2")
    }

    @Test("an unknown outcome pins the request id", arguments: doubtfulAnswers.indices)
    func doubt(index: Int) throws {
        let (name, behaviour, status, slug) = doubtfulAnswers[index]
        platform.behave { $0.ordinal == 0 ? behaviour : .order }
        let refusal = problem { try charge("r-1") }
        #expect(refusal?.status == status && refusal?.slug == slug, "\(name): \(String(describing: refusal))")
        let reasons = ["10 MB": "usable answer came (the answer is over", "cut in the answer": "(the answer was cut"]
        if let reason = reasons[name] { #expect(refusal?.detail.contains(reason) == true, "\(name)") }
        let charged = try charge("r-2")
        #expect(charged.receipt.requestID == "r-1", "\(name)")
        #expect(sentIDs() == ["r-1", "r-1"], "\(name)")
        #expect(platform.orders == ["r-1": 1], "\(name)")
    }

    @Test func aByteOrderMarkIsNoPartOfTheOrder() throws {
        platform.behave { _ in .actAndAnswer(200, "\u{FEFF}{\"id\": 1}") }
        let receipt = try charge("r-1").receipt
        #expect(Array(receipt.order.utf8) == Array(#"{"id": 1}"#.utf8))
        #expect(try TestJSON(parsing: receipt.json)["order"]?["id"]?.integer == 1)
    }

    @Test func noAnswerInTimeIsUnknown() throws {
        let gate = Gate()
        defer { gate.open() }
        platform.behave { $0.ordinal == 0 ? .holdAfterActing(gate) : .order }
        #expect(problem { try charge("r-1", milliseconds: 8000) }?.slug == "charge-outcome-unknown")
        #expect(try charge("r-2").receipt.requestID == "r-1")
        #expect(platform.orders == ["r-1": 1])
    }

    @Test func aDoubtOutlivesWhatSaysNothingAboutIt() throws {
        let answers: [PlatformBehaviour] = [
            .actAndAnswer(500), .answer(401), .answer(429), .answer(400), .answer(404), .answer(409), .answer(410),
            .answer(422), .order,
        ]
        platform.behave { answers[min($0.ordinal, 8)] }
        let slugs =
            ["platform-error", "platform-refused-us", "platform-busy"] + Array(repeating: "charge-declined", count: 5)
        for (index, slug) in slugs.enumerated() {
            #expect(problem { try charge("r-\(index)") }?.slug == slug)
        }
        #expect(try charge("last").receipt.requestID == "r-0")
        #expect(Set(sentIDs()) == ["r-0"])
        #expect(platform.orders == ["r-0": 1])
    }

    @Test func aRefusalForMoneyEndsADoubt() throws {
        platform.behave { [.answer(500), .answer(402), .order][min($0.ordinal, 2)] }
        #expect(problem { try charge("r-1") }?.slug == "platform-error")
        let refusal = problem { try charge("r-2") }
        #expect(refusal?.slug == "charge-declined" && refusal?.extensions["outcome"] == nil)
        #expect(try charge("r-3").receipt.requestID == "r-3")
        #expect(sentIDs() == ["r-1", "r-1", "r-3"])
    }

    @Test(
        "a refusal that leaves the doubt does not say that nothing was charged",
        arguments: [
            (400, "charge-declined"), (404, "charge-declined"), (409, "charge-declined"), (410, "charge-declined"),
            (422, "charge-declined"), (401, "platform-refused-us"), (429, "platform-busy"),
            (nil, "platform-unreachable"),
        ] as [(Int?, String)])
    func refusedInDoubt(status: Int?, slug: String) throws {
        platform.behave { $0.ordinal == 0 ? .actAndAnswer(500) : .answer(status ?? 500) }
        #expect(problem { try charge("r-1") }?.slug == "platform-error")
        if status == nil { platform.stop() }
        let refusal = try #require(problem { try charge("r-1") })
        #expect(refusal.slug == slug)
        #expect(refusal.extensions["outcome"] == "unknown" && refusal.extensions["executed"] != "no")
        #expect(refusal.detail.contains("outcome is unknown") && !refusal.detail.contains("Nothing"))
    }

    @Test func unreachableSendsNothingAndPinsNothing() throws {
        let away = try ScriptedPlatform()
        let desk = shop.desk(away)
        away.stop()
        let refusal = problem { _ = try desk.charge(subscription: subscription, requestID: "r-1", .test()) }
        #expect(refusal?.status == 503 && refusal?.slug == "platform-unreachable")
        #expect(try charge("r-2").receipt.requestID == "r-2")
    }

    @Test func refusedWhenKnownNotToBeChargeable() throws {
        let club = try shop.club()
        for (id, word) in [
            (try shop.subscription(club: club, history: [(StatusID.paused, "-1 day")]), "paused"),
            (try shop.subscription(club: club, history: [(StatusID.cancelled, "-1 day")]), "cancelled"),
            (try shop.subscription(club: try shop.club(status: 3), history: [(1, "-1 day")]), "inactive"),
        ] {
            let refusal = problem { try charge("x-\(word)", of: id) }
            #expect(refusal?.status == 409 && refusal?.slug == "not-chargeable")
            #expect(refusal?.detail.contains(word) == true)
        }
        #expect(problem { try charge("x", of: "nobody") }?.slug == "subscription-not-found")
        #expect(platform.requests.isEmpty)
        #expect(try shop.count("SELECT count(*) FROM charge") == 0)
    }

    @Test("no history at all, and a closed club, are no reason to refuse")
    func chargedWithoutHistory() throws {
        for (index, club) in [try shop.club(status: nil), try shop.club(status: 2)].enumerated() {
            try charge("n-\(index)", of: try shop.subscription(club: club, history: []))
        }
        #expect(platform.orderCount == 2)
    }

    @Test func aSubscriptionInsertedAgainIsANewOne() throws {
        let club = try shop.club()
        let id = try shop.subscription(id: "same", club: club, history: [(1, "-1 day")])
        let first = try charge("r-1", of: id)
        try shop.run("DELETE FROM subscription_status_history WHERE subscription_id = \(id)")
        try shop.run("DELETE FROM subscription WHERE id = \(id)")
        _ = try shop.subscription(id: "same", club: club, customer: "another", history: [])
        let second = try charge("r-2", of: id)
        #expect(!second.isReplay && second.receipt != first.receipt)
        #expect(try shop.count("SELECT count(*) FROM charge WHERE subscription_id = 'same'") == 2)

        try shop.run("TRUNCATE subscription CASCADE")
        _ = try shop.subscription(id: "same", club: club, customer: "third", history: [])
        #expect(!(try charge("r-3", of: id).isReplay))
        #expect(try shop.count("SELECT count(*) FROM charge WHERE subscription_id = 'same'") == 3)
    }

    @Test func aRenamedSubscriptionKeepsItsCharges() throws {
        let club = try shop.club()
        _ = try shop.subscription(id: "a", club: club, history: [])
        try charge("r-1", of: "a")
        try shop.run("UPDATE subscription SET id = 'b' WHERE id = 'a'")
        #expect(try charge("r-2", of: "b").receipt.requestID == "r-1")
        _ = try shop.subscription(id: "a", club: club, customer: "another", history: [])
        #expect(problem { try charge("r-1", of: "a") }?.slug == "request-id-reused")
        #expect(try charge("r-3", of: "a").receipt.requestID == "r-3")
        // Ids that are handed on in one statement.
        try shop.run("UPDATE subscription SET id = CASE id WHEN 'b' THEN 'c' ELSE 'b' END WHERE id IN ('a', 'b')")
        #expect(try charge("r-4", of: "c").receipt.requestID == "r-1")
        #expect(try charge("r-4", of: "b").receipt.requestID == "r-3")
        // What an id without a subscription had kept stands in nobody's way.
        try shop.run("UPDATE charge SET subscription_id = 'gone' WHERE request_id = 'r-3'")
        try shop.run("UPDATE subscription SET id = 'gone' WHERE id = 'c'")
        #expect(try charge("r-4", of: "gone").receipt.requestID == "r-1")
        #expect(sentIDs() == ["r-1", "r-3"])
    }
}
