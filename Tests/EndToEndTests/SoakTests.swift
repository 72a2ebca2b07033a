import Foundation
import Postgres
import Runtime
import TestSupport
import Testing

/// Charges at random while function, platform and database are killed and slowed at random, then an audit one for one.
/// `make soak` runs it long; SOAK_CHARGES, SOAK_SECONDS and SOAK_SEED say how.
@Suite(.serialized) struct SoakTests {
    let broken: Breakage
    let platform: ScriptedPlatform
    let charges: Int
    let seconds: Int
    let seed: UInt64

    init() throws {
        let variables = ProcessInfo.processInfo.environment
        charges = variables["SOAK_CHARGES"].flatMap { Int($0) } ?? 1000
        seconds = variables["SOAK_SECONDS"].flatMap { Int($0) } ?? 10
        seed = variables["SOAK_SEED"].flatMap { UInt64($0) } ?? .random(in: 0...999_999)
        let shop = try PrivateInstance.soaked.get()
        broken = try Breakage(shop)
        platform = try #require(shop.platform)
    }

    @Test(.timeLimit(.minutes(180))) func everyChargeIsMadeOnceAndOnTheBooks() throws {
        let subscriptions = try subscribe(max(10, charges / 10))
        say("\(charges) charges of \(subscriptions.count) subscriptions in at most \(seconds) s, seed \(seed)")
        // What was written so far is on disk; of charges the ledger sees to that itself.
        try broken.setSynchronousCommit("off")
        let receipts = Receipts()
        let platformDice = Dice(seed: seed)
        platform.behave { platformDice.behaviour(for: $0) }

        let end = Deadline.after(milliseconds: seconds * 1000)
        let left = Lock(charges)
        let clients = (0..<12).map { number in
            Background { [http = broken.shop.http, seed] in
                let dice = Dice(seed: seed &+ UInt64(number + 1))
                while !end.hasPassed,
                    left.withLock({
                        $0 -= 1; return $0 >= 0
                    })
                {
                    let subscription = subscriptions[dice.number(below: subscriptions.count)]
                    // One of a few ids each: now a duplicate, now a new one.
                    let target = "/subscription/\(subscription)/charge/\(subscription)-\(dice.number(below: 4))"
                    let answer = try? http.request("POST", target)
                    receipts.take(subscription, answer)
                    // Who is refused comes back a little later, or an outage would use up the charges at once.
                    if answer?.status != 200 { usleep(50_000) }
                }
                left.withLock { $0 = min($0, 0) }
            }
        }
        let dice = Dice(seed: seed &+ 100)
        var faults: [String: Int] = [:]
        var report = Deadline.after(milliseconds: 15_000)
        while !end.hasPassed, left.withLock({ $0 > 0 }) {
            if report.hasPassed {
                report = .after(milliseconds: 15_000)
                say(
                    """
                    \(end.remainingMilliseconds / 1000) s left, \(charges - left.withLock { $0 }) charges asked, \
                    \(platform.orders.count) orders, \(faults.values.reduce(0, +)) faults
                    """)
            }
            usleep(UInt32(dice.number(below: 500)) * 1000)
            try expireDeadLeases()
            faults[try breakSomething(dice), default: 0] += 1
        }
        for client in clients { try client.value() }

        try settle(subscriptions, receipts)
        try audit(subscriptions, receipts, faults)
    }

    private func subscribe(_ count: Int) throws -> [String] {
        let club = try broken.shop.club(in: broken.database)
        let rows = try broken.sql(
            """
            INSERT INTO subscription
            SELECT 'soak-' || \(club) || '-' || n, \(club), 'customer-' || n, now() AT TIME ZONE 'UTC'
            FROM generate_series(1, \(count)) n RETURNING id
            """)
        return try rows.map { try $0.decode(String.self) }
    }

    private func breakSomething(_ dice: Dice) throws -> String {
        switch dice.number(below: 12) {
        case 0...2:
            broken.killFunction()
            return "kill"
        case 3...6:
            let point = Breakage.Point.allCases[dice.number(below: 4)]
            try broken.kill(at: point)
            usleep(20_000)
            try broken.release()
            return point.rawValue
        case 7, 8:
            try broken.cutSessions()
            return "sessions cut"
        case 9:
            broken.freezeFunction(milliseconds: dice.number(below: 500))
            return "freeze"
        case 10:
            try broken.refuseWrites(.readOnly)
            usleep(UInt32(dice.number(below: 500)) * 1000)
            try broken.allowWrites()
            return "read-only"
        default:
            try broken.restartDatabase(dice.number(below: 2) == 0 ? SIGINT : SIGQUIT)
            return "database restart"
        }
    }

    /// Ends the leases of attempts that are over for certain: the platform takes far less than these 3 s, and so no
    /// request of theirs is under way any more, which is what a lease is there to see to.
    private func expireDeadLeases() throws {
        try broken.sql(
            """
            UPDATE charge c SET lease_until = now() - interval '1 second' WHERE state = 'sending' AND NOT EXISTS (
                SELECT FROM charge_event e WHERE e.charge_id = c.id AND e.at > now() - interval '3 seconds')
            """)
    }

    /// What was left open, settled by further requests once everything works again.
    private func settle(_ subscriptions: [String], _ receipts: Receipts) throws {
        platform.behave { _ in .order }
        try Eventually.happens("readiness") { try broken.shop.http.request("GET", "/readyz").status == 200 }
        _ = try concurrently(8) { thread in
            for subscription in stride(from: thread, to: subscriptions.count, by: 8).map({ subscriptions[$0] }) {
                try Eventually.happens("\(subscription) to be settled") {
                    try expireDeadLeases()
                    let answer = try broken.shop.http.request(
                        "POST", "/subscription/\(subscription)/charge/\(subscription)-last")
                    receipts.take(subscription, answer)
                    return answer.status == 200
                }
            }
        }
    }

    /// At once, also where nobody watches.
    private func say(_ text: String) {
        print("soak: \(text)")
        fflush(nil)
    }

    private func audit(_ subscriptions: [String], _ receipts: Receipts, _ faults: [String: Int]) throws {
        let rows = try broken.sql(
            "SELECT subscription_id, state, request_id, platform_order FROM charge WHERE subscription_id LIKE 'soak-%'"
        ).map { try $0.decode(String.self, String.self, String.self, String?.self) }
        let orders = platform.orders
        #expect(rows.count == subscriptions.count && Set(rows.map(\.0)) == Set(subscriptions))
        #expect(rows.allSatisfy { $0.1 == "charged" })
        #expect(orders.values.allSatisfy { $0 == 1 })
        #expect(Set(orders.keys) == Set(rows.map(\.2)), "platform orders = charged rows, one for one")
        #expect(rows.allSatisfy { $0.2.hasPrefix("\($0.0)-") && $0.3?.contains("order-of-\($0.2)\"") == true })
        let published = try broken.sql(
            "SELECT subject FROM outbox WHERE type = 'subscription.charged' AND subject LIKE 'soak-%'"
        ).map { try $0.decode(String.self) }
        #expect(published.sorted() == subscriptions.sorted(), "every charge is published once")
        let differing = receipts.bodies.withLock { $0.filter { $0.value.count != 1 }.keys }
        #expect(differing.isEmpty, "every 200 for a subscription has the same bytes")
        let statuses = receipts.statuses.withLock { $0 }.sorted { $0.key < $1.key }
        say("seed \(seed), answers \(statuses.map { "\($0.key): \($0.value)" }.joined(separator: ", "))")
        say("faults \(faults.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", "))")
        let second = orders.values.reduce(0, +) - orders.count
        say(
            """
            audit: \(platform.requests.count) calls, \(orders.count) orders, \(second) second orders, \
            \(rows.count { $0.1 == "charged" }) charged rows, \(differing.count) answers that differ
            """)
    }
}

/// What the clients were told.
private final class Receipts: Sendable {
    let bodies = Lock<[String: Set<[UInt8]>]>([:])
    let statuses = Lock<[String: Int]>([:])

    func take(_ subscription: String, _ answer: HTTPProbe.Response?) {
        let word = answer.map { "\($0.status) \($0.problem ?? "ok")" } ?? "no answer"
        statuses.withLock { $0[word, default: 0] += 1 }
        if let answer, answer.status == 200 {
            bodies.withLock { _ = $0[subscription, default: []].insert(answer.body) }
        }
    }
}

/// Random numbers from a seed, for several threads.
private final class Dice: Sendable {
    private let generator: Lock<SeededGenerator>

    init(seed: UInt64) { generator = Lock(SeededGenerator(seed: seed)) }

    func number(below bound: Int) -> Int {
        generator.withLock { Int($0.next() % UInt64(bound)) }
    }

    func behaviour(for request: PlatformRequest) -> PlatformBehaviour {
        switch number(below: 20) {
        case 0: .cutBeforeActing
        case 1: .cutAfterActing
        case 2: .cutInReply
        case 3: .answer(500)
        case 4: .actAndAnswer(500)
        case 5: .answer(429, headers: [("Retry-After", "1")])
        // Nobody declines a request id whose order is made, or is being made.
        case 6 where request.times == 1: .answer(402)
        case 7: .garbage
        case 8: .actAndAnswer(200, "{")
        case 9...12:
            PlatformBehaviour(before: .milliseconds(number(below: 150)), after: .milliseconds(number(below: 150)))
        default: .order
        }
    }
}
