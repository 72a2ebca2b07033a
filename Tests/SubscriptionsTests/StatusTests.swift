import Postgres
import Runtime
import Subscriptions
import TestSupport
import Testing

@Suite struct StatusTests {
    let shop: Shop
    let subscription: String

    init() throws {
        shop = try Shop()
        subscription = try shop.subscription(club: try shop.club(), history: [(StatusID.active, "-40 days")])
    }

    @discardableResult
    func change(
        to status: Int, at effect: String? = nil, days: Int? = nil, details: String? = nil
    ) throws -> SubscriptionStore.Change {
        try shop.store.changeStatus(
            of: subscription, to: status, effectDate: effect.flatMap { EffectDate.parse($0) }, returnAfterDays: days,
            details: details, cause: .test, deadline: .soon)
    }

    func returns() throws -> Int {
        try shop.count(
            """
            SELECT count(*) FROM subscription_status_history
            WHERE subscription_id = \(subscription) AND details = 'Automatic return schedule'
            """)
    }

    @Test func aPauseEndsByItself() throws {
        let pause = try change(to: StatusID.paused, days: 30)
        #expect(pause.returnsAt != nil)
        #expect(try shop.status(of: subscription) == StatusID.paused)
        try shop.letPass("29 days 23 hours", for: subscription)
        #expect(try shop.status(of: subscription) == StatusID.paused)
        try shop.letPass("1 hour", for: subscription)
        #expect(try shop.status(of: subscription) == StatusID.active)
    }

    @Test func whoCancelsDuringAPauseNeverComesBack() throws {
        try change(to: StatusID.paused, days: 30)
        try shop.letPass("5 days", for: subscription)
        try change(to: StatusID.cancelled)
        #expect(try returns() == 0)
        for _ in 0..<3 {
            try shop.letPass("20 days", for: subscription)
            #expect(try shop.status(of: subscription) == StatusID.cancelled)
        }
        #expect(try shop.count("SELECT count(*) FROM superseded_return WHERE subscription_id = \(subscription)") == 1)
    }

    @Test("pausing again before the first return leaves one return, the second")
    func pauseAgain() throws {
        try change(to: StatusID.paused, days: 10)
        try shop.letPass("5 days", for: subscription)
        try change(to: StatusID.paused, days: 30)
        #expect(try returns() == 1)
        try shop.letPass("6 days", for: subscription)
        #expect(try shop.status(of: subscription) == StatusID.paused, "the first return is taken back")
        try shop.letPass("24 days 1 hour", for: subscription)
        #expect(try shop.status(of: subscription) == StatusID.active)
    }

    @Test("a change that is made now for later takes the return back too")
    func futureChange() throws {
        try change(to: StatusID.paused, days: 10)
        try change(to: StatusID.cancelled, at: "9000-01-01")
        #expect(try returns() == 0)
    }

    @Test(
        "a pause does not end by itself across a cancellation that was there",
        arguments: [
            ("9000-01-02", false), ("9000-01-31", false),
            // In the instant of the pause, which was made later; and after its end.
            ("9000-01-01", true), ("9000-02-01", true),
        ])
    func cancelledBefore(cancelled: String, ends: Bool) throws {
        try change(to: StatusID.cancelled, at: cancelled)
        let pause = try change(to: StatusID.paused, at: "9000-01-01", days: 30)
        #expect((pause.returnsAt != nil) == ends)
        #expect(try returns() == (ends ? 1 : 0))
    }

    @Test("a pause written down later for an instant before the cancellation revives nobody, now or later")
    func backdatedPause() throws {
        try shop.letPass("3650 days", for: subscription)
        for (cancelled, pause) in [("2020-03-01", "2020-02-15"), ("2020-06-01", "2020-05-15")] {
            try change(to: StatusID.cancelled, at: cancelled)
            try change(to: StatusID.paused, at: pause, days: 30)
            try change(to: StatusID.paused, at: pause, days: 3650)
            #expect(try shop.status(of: subscription) == StatusID.cancelled)
        }
        #expect(try returns() == 0)
    }

    @Test(
        "a change written down when the pause had ended, for an instant within it, takes the return back",
        arguments: [("2020-02-05", true), ("2020-02-01", true), ("2020-01-31", false), ("2020-03-02", false)],
        [StatusID.cancelled, StatusID.paused])
    func backdatedChange(_ change: (at: String, isWithin: Bool), to status: Int) throws {
        try shop.letPass("3650 days", for: subscription)
        try self.change(to: StatusID.paused, at: "2020-02-01", days: 30)
        #expect(try shop.status(of: subscription) == StatusID.active)
        try self.change(to: status, at: change.at)
        #expect(try returns() == (change.isWithin ? 0 : 1))
        #expect(try shop.status(of: subscription) == (change.at < "2020-02" ? StatusID.active : status))
    }

    @Test("a change written down late takes no return of another pause, also where all were imported at once")
    func backdatedBetweenPauses() throws {
        try shop.letPass("3650 days", for: subscription)
        try shop.run(
            """
            INSERT INTO subscription_status_history (id, subscription_id, status_id, effect_date, create_date, details)
            SELECT 'imported-' || date, \(subscription), status, date::timestamp, '2021-01-01',
                   CASE status WHEN 1 THEN 'Automatic return schedule' END
            FROM (VALUES (3, '2019-01-01'), (1, '2019-02-01'), (3, '2020-01-01'), (1, '2020-02-01')) h (status, date)
            """)
        try change(to: StatusID.cancelled, at: "2019-06-01")
        #expect(try returns() == 2)
        try change(to: StatusID.cancelled, at: "2020-01-15")
        #expect(try returns() == 1)
        #expect(try shop.status(of: subscription) == StatusID.cancelled)
    }

    @Test func aReturnThatHasTakenEffectStays() throws {
        try change(to: StatusID.paused, days: 10)
        try shop.letPass("11 days", for: subscription)
        try change(to: StatusID.paused)
        #expect(try returns() == 1)
        #expect(try shop.status(of: subscription) == StatusID.paused)
    }

    @Test func aFutureChangeWaits() throws {
        try change(to: StatusID.cancelled, at: "9000-01-01T00:00:00Z", details: "moving away")
        #expect(try shop.status(of: subscription) == StatusID.active)
        let details = try shop.run(
            "SELECT details FROM subscription_status_history WHERE subscription_id = \(subscription) AND status_id = 2")
        #expect(try details[0].decode(String.self) == "moving away")
    }

    @Test func theNextChangeIsTheLatestMadeOfThoseForTheEarliestInstant() throws {
        try shop.run(
            """
            INSERT INTO subscription_status_history VALUES
                ('first', \(subscription), 3, '9000-01-01', utc_now(), 'outside'),
                ('first made before', \(subscription), 2, '9000-01-01', utc_now() - interval '1 day', 'outside'),
                ('second', \(subscription), 1, '9000-01-02', utc_now(), 'outside')
            """)
        let record = try SubscriptionRecords(shop.database)
            .record(of: subscription, deadline: .soon)
        #expect(try TestJSON(parsing: JSON.encode(record))["next_change"]?["id"]?.integer == StatusID.paused)
    }

    @Test func aPlannedChangeOutlivesAnotherMadeNow() throws {
        try change(to: StatusID.active, at: "9000-01-01")
        try change(to: StatusID.paused)
        #expect(
            try shop.count("SELECT count(*) FROM subscription_status_history WHERE effect_date = '9000-01-01'") == 1)
    }

    @Test func theReturnIsCountedFromTheEffectDate() throws {
        #expect(
            try change(to: StatusID.paused, at: "2030-01-02", days: 30).returnsAt?.text == "2030-02-01T00:00:00Z")
    }

    @Test func unknownSubscription() throws {
        let store = shop.store
        let refusal = problem {
            _ = try store.changeStatus(
                of: "nobody", to: 1, effectDate: nil, returnAfterDays: nil, details: nil, cause: .test, deadline: .soon)
        }
        #expect(refusal?.slug == "subscription-not-found")
        #expect(refusal?.status == 404)
    }

    @Test("racing changes leave at most one automatic return, and none after a cancellation that came last")
    func racingChanges() throws {
        _ = try concurrently(40) { index in
            try change(to: index % 2 == 0 ? StatusID.paused : StatusID.active, days: index % 2 == 0 ? 10 : nil)
        }
        #expect(try returns() <= 1)
        try change(to: StatusID.cancelled)
        #expect(try returns() == 0)
        #expect(try shop.status(of: subscription) == StatusID.cancelled)
    }
}

@Suite struct EffectDateTests {
    @Test(arguments: [
        ("2026-11-21", "2026-11-21T00:00:00Z"), ("2026-11-21T03:04:05", "2026-11-21T03:04:05Z"),
        ("2026-11-21T03:04:05Z", "2026-11-21T03:04:05Z"), ("2026-11-21 03:04", "2026-11-21T03:04:00Z"),
        ("2026-11-21T03:04:05.123456789Z", "2026-11-21T03:04:05.123456Z"),
        ("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00Z"), ("2026-12-31T23:30:00-0100", "2027-01-01T00:30:00Z"),
        ("2024-02-29T12:00:00-12", "2024-03-01T00:00:00Z"), ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("2000-02-29t23:59:59.5z", "2000-02-29T23:59:59.5Z"), ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        // The contract says ISO 8601: these are forms of it as well.
        ("9999-12-31", "9999-12-31T00:00:00Z"), ("20261122", "2026-11-22T00:00:00Z"),
        ("20261122T100000Z", "2026-11-22T10:00:00Z"), ("20261122T1030", "2026-11-22T10:30:00Z"),
        ("20261122T100000.5+0130", "2026-11-22T08:30:00.5Z"), ("20261122T10-03", "2026-11-22T13:00:00Z"),
        ("2026-11-22T10Z", "2026-11-22T10:00:00Z"), ("2026-11-22T10", "2026-11-22T10:00:00Z"),
        ("2026-11-22T24:00:00Z", "2026-11-23T00:00:00Z"), ("2026-12-31T24:00", "2027-01-01T00:00:00Z"),
        ("20260228T240000.000Z", "2026-03-01T00:00:00.000Z"), ("2026-11-22T24:00:00-03:00", "2026-11-23T03:00:00Z"),
    ])
    func accepted(text: String, utc: String) {
        #expect(EffectDate.parse(text)?.text == utc)
    }

    @Test(arguments: [
        "", "now", "2026", "2026-13-01", "2026-02-30", "2023-02-29", "1900-02-29",
        "2026-11-21T24:00:01Z", "2026-11-21T24:01Z", "2026-11-21T24:00:00.001Z", "2026-11-21T25:00:00Z",
        "2026-11-21T03:60Z", "2026-11-21T03:04:60Z", "2026-11-21T", "2026-11-21T03:04:05.Z", "2026-11-21T03:04:05+25",
        "2026-11-21T03:04:05Zx", " 2026-11-21", "٢٠٢٦-11-21", "0000-01-01", "10000-01-01", "infinity",
        "0001-01-01T00:00:00+01:00", "9999-12-31T24:00:00Z", "9999-12-31T23:00:00-01:00", "20261131", "2026112",
        "2026-1121", "202611-21", "20261121T10:00", "2026-11-21T1000", "20261121T100", "20261121T10000", "20261121Z",
        "2026-11-21T10:", "2026-11-21T10:00:", "2026-11-21T03:04:05Z\u{0}",
    ])
    func refused(text: String) {
        #expect(EffectDate.parse(text) == nil)
    }

    @Test func anAutomaticReturnStaysInTheYearsToo() {
        #expect(EffectDate.parse("9990-01-02", adding: 3650)?.text == "9990-01-02T00:00:00Z")
        #expect(EffectDate.parse("9990-01-03", adding: 3650)?.text == nil)
        #expect(EffectDate.parse("9999-12-31", adding: 1)?.text == nil)
    }

    @Test func everyDayOfFourCenturiesIsItself() throws {
        func twoDigits(_ number: Int) -> String { (number < 10 ? "0" : "") + "\(number)" }
        for year in 1904...2304 {
            let isLeap = year % 4 == 0 && year % 100 != 0 || year % 400 == 0
            let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
            for (month, length) in zip(1...12, lengths) {
                for day in 1...31 {
                    let date = "\(year)-\(twoDigits(month))-\(twoDigits(day))"
                    let parsed = EffectDate.parse(date)?.text
                    // An expectation for each of 150,000 days takes long.
                    if parsed != (day <= length ? "\(date)T00:00:00Z" : nil) {
                        Issue.record("\(date): \(parsed ?? "nil")")
                    }
                }
            }
        }
    }
}
