import Postgres
import Runtime
import Subscriptions
import TestSupport
import Testing

@testable import Charging

/// A subscription that can be charged, and what it is charged through.
struct ChargeSetup {
    let shop: Shop
    let platform: ScriptedPlatform
    let desk: ChargeDesk
    let ledger: ChargeLedger
    /// It sells the order 700.
    let club: Int32
    let subscription: String

    init(customer: String? = nil) throws {
        shop = try Shop()
        platform = try ScriptedPlatform()
        desk = shop.desk(platform)
        ledger = shop.ledger()
        club = try shop.club(sku: 700)
        subscription = try shop.subscription(
            club: club, customer: customer, history: [(StatusID.active, "-1 day")])
    }
}

/// The ledger gave another answer than the one the test goes on from.
struct UnexpectedBeginning: Error {}

/// What the suites about charges do again and again.
protocol ChargeSuite {
    var setup: ChargeSetup { get }
}

extension ChargeSuite {
    var shop: Shop { setup.shop }
    var platform: ScriptedPlatform { setup.platform }
    var desk: ChargeDesk { setup.desk }
    var ledger: ChargeLedger { setup.ledger }
    var club: Int32 { setup.club }
    var subscription: String { setup.subscription }

    @discardableResult
    func charge(_ request: String, of other: String? = nil, milliseconds: Int = 20_000) throws -> ChargeDesk.Charged {
        try desk.charge(subscription: other ?? subscription, requestID: request, .test(milliseconds: milliseconds))
    }

    func receipt(_ request: String) throws -> ChargeLedger.Receipt { try charge(request).receipt }

    func begin(_ request: String, of other: String? = nil, lease: Int = 60_000) throws -> ChargeLedger.Beginning {
        try ledger.begin(
            subscription: other ?? subscription, requestID: request, leaseMilliseconds: lease, onlyWatch: false,
            deadline: .soon)
    }

    /// Leave to send, of which nothing more is heard when nobody records an outcome.
    func attempt(_ request: String, of other: String? = nil) throws -> ChargeLedger.Attempt {
        guard case .begun(let attempt) = try begin(request, of: other) else { throw UnexpectedBeginning() }
        return attempt
    }

    func settle(_ desk: ChargeDesk? = nil) throws -> [Int] {
        let report = try (desk ?? self.desk).settle(.test(milliseconds: 55_000))
        return [report.charged, report.declined, report.unknown, report.waiting]
    }

    /// Leaves a charge in doubt, with an order made at the platform.
    func doubt(_ request: String, of other: String? = nil) throws {
        platform.behave { _ in .actAndAnswer(500) }
        #expect(problem { try charge(request, of: other) }?.slug == "platform-error")
        platform.behave { _ in .order }
    }

    /// Leaves so many charges in doubt, each of a subscription of its own.
    func doubts(_ count: Int) throws {
        let club = try shop.club()
        for _ in 0..<count {
            let id = try shop.subscription(club: club, history: [])
            try doubt("r-\(id)", of: id)
        }
    }

    /// What the passing of time does to every doubt and lease.
    func letTimePass() throws {
        try shop.run(
            """
            UPDATE charge SET settle_at = settle_at - interval '1 year', lease_until = lease_until - interval '1 year'
            """)
    }

    func charge(of id: String) throws -> (state: String, attempts: Int, request: String) {
        let row = try shop.run(
            "SELECT state, attempt, request_id FROM charge WHERE subscription_id = \(id) ORDER BY id DESC")[0]
        return try row.decode(String.self, Int.self, String.self)
    }

    func decide(
        _ outcome: String, _ order: String?, who: String? = "ann", why: String? = "asked the platform"
    ) throws -> String {
        let charge = try shop.count("SELECT coalesce(max(id), 0) FROM charge")
        return try shop.run("SELECT outcome FROM settle_charge(\(charge), \(outcome), \(order), \(who), \(why))")[0]
            .decode(String.self)
    }
}
