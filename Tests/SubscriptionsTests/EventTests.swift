import Events
import Postgres
import Runtime
import Subscriptions
import TestSupport
import Testing

@testable import Charging

/// What subscriptions publish stands in the outbox when, and only when, the change it is about is committed.
@Suite struct EventTests {
    private let shop: Shop

    init() throws { shop = try Shop() }

    private struct Published: Equatable {
        let type: String
        let sequence: Int
        let data: TestJSON
    }

    private func published(about subject: String) throws -> [Published] {
        try shop.run("SELECT type, sequence, data FROM outbox WHERE subject = \(subject) ORDER BY position").map {
            let (type, sequence, data) = try $0.decode(String.self, Int.self, String.self)
            return Published(type: type, sequence: sequence, data: try TestJSON(parsing: data))
        }
    }

    @Test func everyChangeOfASubscriptionIsPublishedInItsOrder() throws {
        let club = try shop.club()
        let made = try shop.store.subscribe(customer: "c \"1\"", toClub: club, cause: .test, deadline: .soon)
        let paused = try shop.store.changeStatus(
            of: made.id, to: StatusID.paused, effectDate: nil, returnAfterDays: 30, details: nil, cause: .test,
            deadline: .soon)
        let cancelled = try shop.store.changeStatus(
            of: made.id, to: StatusID.cancelled, effectDate: EffectDate.parse("2030-01-02T03:04:05.5Z"),
            returnAfterDays: nil, details: nil, cause: .test, deadline: .soon)
        let subscription = #"{"id":"\#(made.id)","club_id":\#(club),"customer_id":"c \"1\""}"#
        let events = try published(about: made.id)
        #expect(events.map(\.type) == ["subscription.created", "subscription.paused", "subscription.cancelled"])
        #expect(events.map(\.sequence) == [1, 2, 3])
        let returns = try #require(paused.returnsAt).text
        let expected = [
            #""status_id":1,"effect_date":"\#(made.createDate.text)""#,
            #""status_id":3,"effect_date":"\#(paused.effectDate.text)","returns_at":"\#(returns)""#,
            #""status_id":2,"effect_date":"\#(cancelled.effectDate.text)""#,
        ].map { #"{"subscription":\#(subscription),\#($0)}"# }
        // An event shows six digits of the fraction, an answer as many as there are.
        let data = try shop.run("SELECT data FROM outbox ORDER BY position")
            .map { try $0.decode(String.self).replacing(/\.?0+Z/, with: "Z") }
        #expect(
            try data.map { try TestJSON(parsing: $0) }
                == expected.map { try TestJSON(parsing: $0.replacing(/\.?0+Z/, with: "Z")) })
        #expect(
            try shop.count(
                """
                SELECT count(*) FROM outbox WHERE traceparent = \(EventCause.test.traceparent)
                    AND correlation_id = 'test-request' AND causation_id = 'test-request' AND state = 'waiting'
                """) == 3)
    }

    @Test func whatIsRefusedPublishesNothing() throws {
        let club = try shop.club()
        _ = try shop.store.subscribe(customer: "twice", toClub: club, cause: .test, deadline: .soon)
        _ = problem { _ = try shop.store.subscribe(customer: "twice", toClub: club, cause: .test, deadline: .soon) }
        _ = problem {
            _ = try shop.store.changeStatus(
                of: "nobody", to: 1, effectDate: nil, returnAfterDays: nil, details: nil, cause: .test, deadline: .soon)
        }
        #expect(try shop.count("SELECT count(*) FROM outbox") == 1)
    }

    @Test func theRelayIsWokenForWhatIsPublishedAndForNothingElse() throws {
        let pipe = try RelayPipe()
        let store = SubscriptionStore(shop.database, RelaySignal(Settings(["OUTBOX_SIGNAL": pipe.path])))
        let club = try shop.club()
        for _ in 1...3 {
            _ = problem { _ = try store.subscribe(customer: "once", toClub: club, cause: .test, deadline: .soon) }
        }
        #expect(pipe.wakings() == 1)
    }

    @Test func theRelayIsWokenForTheOutcomeOfACharge() throws {
        let pipe = try RelayPipe()
        let ledger = ChargeLedger(
            shop.database, zone: "UTC", resend: .idempotent, signal: RelaySignal(Settings(["OUTBOX_SIGNAL": pipe.path]))
        )
        let attempt = try ledger.attempt(try shop.subscription(club: try shop.club(), history: []), "r-1")
        #expect(pipe.wakings() == 0)
        _ = try ledger.finish(attempt, .charged(status: 200, order: "{}"), cause: .test, deadline: .soon)
        #expect(pipe.wakings() == 1)
    }

    @Test func aTransactionThatRollsBackPublishesNothing() throws {
        let club = Int(try shop.club())
        let session = try shop.session()
        try session.execute("BEGIN", deadline: .soon)
        try session.execute(
            "SELECT outcome FROM subscribe(\([club]), '{c}', '{s}', \([Identifier.uuid()]), '{NULL}', '{NULL}', false)",
            deadline: .soon)
        try session.execute("ROLLBACK", deadline: .soon)
        #expect(try shop.count("SELECT count(*) FROM outbox") == 0)
    }

    @Test func aChargeIsPublishedOnceWithThePlatformsOrderToTheByte() throws {
        let id = try shop.subscription(club: try shop.club(), customer: "cust", history: [(StatusID.active, "-1 day")])
        let ledger = shop.ledger()
        let attempt = try ledger.attempt(id, "r-1")
        _ = try ledger.finish(attempt, .declined(status: 402, body: "no"), cause: .test, deadline: .soon)
        let second = try ledger.attempt(id, "r-2")
        let order = #"{"b": null,  "a":[1.50]}"#
        for _ in 1...2 {
            _ = try ledger.finish(second, .charged(status: 200, order: order), cause: .test, deadline: .soon)
        }
        let events = try published(about: id)
        #expect(events.map(\.type) == ["subscription.charge_declined", "subscription.charged"])
        #expect(events.map(\.sequence) == [2, 3])
        #expect(events[0].data["reason"]?.string == "the platform answered 402")
        #expect(events[0].data["request_id"]?.string == "r-1")
        #expect(events[1].data["request_id"]?.string == "r-2")
        #expect(events[1].data["period"]?.string == attempt.period)
        let text = try shop.run("SELECT data FROM outbox WHERE type = 'subscription.charged'")[0].decode(String.self)
        #expect(text.contains(order))
    }

    @Test func anOutcomeThatNobodyKnowsIsNoEventUntilItIsSettled() throws {
        let id = try shop.subscription(club: try shop.club(), history: [(StatusID.active, "-1 day")])
        let ledger = shop.ledger()
        let attempt = try ledger.attempt(id, "r-1")
        _ = try ledger.finish(attempt, .unanswered(reason: "time-out"), cause: .test, deadline: .soon)
        #expect(try published(about: id).isEmpty)
        let settled = try shop.run(
            "SELECT outcome FROM settle_charge(\(attempt.charge), 'not-charged', NULL, 'me', 'seen')")
        #expect(try settled[0].decode(String.self) == "settled")
        let events = try published(about: id)
        #expect(events.map(\.type) == ["subscription.charge_declined"])
        #expect(events.first?.data["reason"]?.string == "an operator found that nothing was charged")
    }

    @Test("a refusal that decided nothing is not the reason of what an operator found")
    func refusedBeforeAnOperatorSettled() throws {
        let ledger = shop.ledger()
        func attempt(_ id: String) throws -> ChargeLedger.Attempt {
            try shop.run("UPDATE charge SET lease_until = clock_timestamp() WHERE subscription_id = \(id)")
            return try ledger.attempt(id, "r-\(id)")
        }
        // The platform knows the id of a doubt; or an attempt taken for dead was declined, and the next one died.
        for (index, isSuperseded) in [false, true].enumerated() {
            let id = try shop.subscription(id: "s\(index)", club: try shop.club(), history: [])
            let first = try attempt(id)
            if !isSuperseded { _ = try ledger.finish(first, .unanswered(reason: ""), cause: .test, deadline: .soon) }
            let second = try attempt(id)
            _ = try ledger.finish(
                isSuperseded ? first : second, .declined(status: 409, body: ""), cause: .test, deadline: .soon)
            #expect(try published(about: id).isEmpty)
            try shop.run("UPDATE charge SET lease_until = clock_timestamp() WHERE subscription_id = \(id)")
            let settled = try shop.run(
                "SELECT outcome FROM settle_charge(\(first.charge), 'not-charged', NULL, 'me', 'seen')")
            #expect(try settled[0].decode(String.self) == "settled")
            #expect(
                try published(about: id).map { $0.data["reason"]?.string }
                    == ["an operator found that nothing was charged"])
        }
    }

    @Test func racingChangesOfOneSubscriptionAreNumberedWithoutGapsInTheOrderOfTheOutbox() throws {
        let club = try shop.club()
        let ids = try (0..<4).map { _ in try shop.subscription(club: club, history: [(StatusID.active, "-1 day")]) }
        let ledger = shop.ledger()
        _ = try concurrently(40) { [shop] number in
            let id = ids[number % 4]
            if number < 4 {
                let attempt = try ledger.attempt(id, "race-\(id)")
                _ = try ledger.finish(attempt, .declined(status: 402, body: ""), cause: .test, deadline: .soon)
            } else {
                _ = try shop.store.changeStatus(
                    of: id, to: StatusID.active, effectDate: nil,
                    returnAfterDays: nil, details: nil, cause: .test, deadline: .soon)
            }
        }
        for id in ids {
            let events = try published(about: id)
            #expect(events.map(\.sequence) == Array(2...11))
        }
    }
}

extension ChargeLedger {
    /// Leave to charge that nothing stands in the way of.
    fileprivate func attempt(_ subscription: String, _ request: String) throws -> Attempt {
        let beginning = try begin(
            subscription: subscription, requestID: request, leaseMilliseconds: 10_000, onlyWatch: false,
            deadline: .soon)
        guard case .begun(let attempt) = beginning else {
            throw PostgresError.unexpectedResult(statement: "begin", reason: "\(beginning)")
        }
        return attempt
    }
}
