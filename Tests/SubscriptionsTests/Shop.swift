import Charging
import Events
import Migrations
import Postgres
import Runtime
import Subscriptions
import Synchronization
import TestSupport
import Testing

/// A subscriptions database of its own, migrated to head, with what a test puts into it the way outsiders do: by SQL.
final class Shop: Sendable {
    let url: String
    let database: Database
    let store: SubscriptionStore
    private let counter = Atomic<Int>(0)

    convenience init() throws {
        try self.init(url: PostgresServer.shared.migratedDatabase("subscriptions"))
    }

    /// - Parameter url: a database that is at head.
    init(url: String) {
        self.url = url
        database = Database(url: url, application: "test")
        store = SubscriptionStore(database, RelaySignal(Settings([:])))
    }

    func migrator() throws -> Migrator { try PostgresServer.shared.migrator("subscriptions", at: url) }

    /// A session of its own, for transactions that stand open.
    func session() throws -> Connection {
        try Connection(url: url, application: "test", deadline: .soon)
    }

    var eligibility: Eligibility { Eligibility(database) }

    /// A name that no other of this shop has.
    func unique(_ prefix: String) -> String {
        "\(prefix)-\(counter.wrappingAdd(1, ordering: .relaxed).newValue)"
    }

    @discardableResult
    func run(_ sql: SQL) throws -> Rows { try database.execute(sql, deadline: .soon) }

    func count(_ sql: SQL) throws -> Int { try run(sql)[0].decode(Int.self) }

    /// A club with one history row, a day old; `nil` for no history at all.
    func club(status: Int? = StatusID.active, sku: Int = 100) throws -> Int32 {
        let id = try run("INSERT INTO club (name, store_sku) VALUES ('Club', \(sku)) RETURNING id")[0].decode(Int.self)
        if let status { try clubHistory(id, status, effect: "-1 day") }
        return Int32(id)
    }

    func clubHistory(_ club: Int, _ status: Int, effect: String) throws {
        try run(
            """
            INSERT INTO club_status_history VALUES (\(unique("ch")), \(club), \(status),
                utc_now() + \(effect)::interval, utc_now(), 'outside')
            """)
    }

    /// A subscription as outsiders write it, with history rows given as status and effect relative to now.
    func subscription(
        id: String? = nil, club: Int32, customer: String? = nil, history: [(status: Int, effect: String)]
    ) throws -> String {
        let id = id ?? unique("sub")
        try run("INSERT INTO subscription VALUES (\(id), \(Int(club)), \(customer ?? unique("cust")), utc_now())")
        for row in history { try self.history(id, row.status, effect: row.effect) }
        return id
    }

    func history(_ subscription: String, _ status: Int, effect: String) throws {
        try run(
            """
            INSERT INTO subscription_status_history VALUES (\(unique("sh")), \(subscription), \(status),
                utc_now() + \(effect)::interval, utc_now(), 'outside')
            """)
    }

    func status(of subscription: String) throws -> Int? {
        let row = try run("SELECT current_subscription_status(\(subscription), utc_now())")[0]
        return try row.decode(Int?.self)
    }

    /// Lets so much time pass for a subscription, by moving its history into the past.
    func letPass(_ interval: String, for subscription: String) throws {
        try run(
            """
            UPDATE subscription_status_history SET effect_date = effect_date - \(interval)::interval
            WHERE subscription_id = \(subscription)
            """)
    }

    func eligible() throws -> Set<String> {
        Set(try eligibility.page(after: nil, limit: 10_000, deadline: .soon))
    }

    func ledger(zone: String = "UTC", resend: ResendPolicy = .idempotent) -> ChargeLedger {
        ChargeLedger(database, zone: zone, resend: resend, signal: RelaySignal(Settings([:])))
    }

    /// A desk that charges through the scripted platform.
    func desk(_ platform: ScriptedPlatform, zone: String = "UTC", resend: ResendPolicy = .idempotent) -> ChargeDesk {
        let settings = Settings([
            "ECOMMERCE_URL": platform.url, "ECOMMERCE_API_KEY": "key", "ECOMMERCE_API_SECRET": "secret",
        ])
        return ChargeDesk(ledger: ledger(zone: zone, resend: resend), platform: Platform(settings))
    }
}

extension Context {
    /// As a function of that time limit would have it.
    static func test(milliseconds: Int = 20_000) -> Context {
        Context(functionName: "test", requestID: "test-request", deadline: .after(milliseconds: milliseconds))
    }
}

extension EventCause {
    static let test = EventCause(
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", correlationID: "test-request",
        causationID: "test-request")
}
