import Glibc
import Postgres
import Runtime
import TestSupport
import Testing

/// One window in which a charge may be lost or made twice: a subscription of its own, and what became of it.
struct ChargeWindow {
    let number: String
    let subscription: String
    let broken: Breakage
    let platform: ScriptedPlatform

    /// A request id that nobody else has; the platform's records are told apart by it.
    func id(_ name: String) -> String { "\(subscription)-\(name)" }

    func charge(_ name: String) throws -> HTTPProbe.Response {
        try broken.shop.http.request("POST", "/subscription/\(subscription)/charge/\(id(name))")
    }

    func chargeInBackground(_ name: String) -> Background<HTTPProbe.Response> {
        Background { [http = broken.shop.http, subscription, id = id(name)] in
            try http.request("POST", "/subscription/\(subscription)/charge/\(id)")
        }
    }

    /// The request names that reached the platform, in order.
    var sent: [String] { platform.requests.map(\.requestID).filter(isOurs).map { String($0.dropFirst(id("").count)) } }
    var orders: [String: Int] { platform.orders.filter { isOurs($0.key) } }
    private func isOurs(_ id: String) -> Bool { id.hasPrefix(self.id("")) }

    func states() throws -> [String] {
        try broken.sql("SELECT state FROM charge WHERE subscription_id = \(subscription) ORDER BY id").map {
            try $0.decode(String.self)
        }
    }

    func waitFor(state: String) throws {
        try Eventually.happens("state \(state) of \(subscription)") { try states().last == state }
    }

    /// Charges until the answer is 200, as a client does that is told to come back.
    func settle(_ name: String) throws -> HTTPProbe.Response {
        var answer: HTTPProbe.Response?
        try Eventually.happens("\(subscription) to be settled") {
            try broken.expireLeases()
            answer = try charge(name)
            return answer?.status == 200
        }
        return try #require(answer)
    }
}

/// The windows that were tried and what was counted in the end, printed when the tests end.
final class WindowTable: Sendable {
    static let shared = WindowTable()

    struct Row: Sendable {
        let number: String
        let what: String
        let orders: Int
        let charged: Int
        let events: Int
        let holds: Bool
    }

    private let rows = Lock<[Row]>([])

    private init() { atexit { WindowTable.shared.show() } }

    func add(_ row: Row) { rows.withLock { $0.append(row) } }

    private func show() {
        let rows = rows.withLock { $0 }.sorted { (Int($0.number) ?? 0, $0.what) < (Int($1.number) ?? 0, $1.what) }
        print("\n| # | window | platform orders | charged rows | attempt events | verdict |\n|---|---|---|---|---|---|")
        for row in rows {
            print(
                "| \(row.number) | \(row.what) | \(row.orders) | \(row.charged) | \(row.events) | "
                    + "\(row.holds ? "holds" : "BROKEN") |")
        }
        fflush(nil)
    }
}

extension ChargeWindow {
    /// Counts the platform's orders against the ledger, one for one: as many as expected, each charged row with the
    /// request id of an order, each order made once and on the books, nothing in doubt.
    func audit(_ what: String, orders expected: Int = 1) throws {
        let rows = try broken.sql(
            """
            SELECT state, request_id, platform_order FROM charge WHERE subscription_id = \(subscription)
            """
        ).map { try $0.decode(String.self, String.self, String?.self) }
        let charged = rows.filter { $0.0 == "charged" }
        let events = try broken.sql(
            """
            SELECT count(*) FROM charge_event e JOIN charge c ON c.id = e.charge_id
            WHERE c.subscription_id = \(subscription)
            """)[0].decode(Int.self)
        let made = orders
        let isOneForOne =
            Set(charged.map(\.1)) == Set(made.keys) && charged.count == made.count
            && made.values.allSatisfy { $0 == 1 } && charged.allSatisfy { $0.2?.contains("order-of-\($0.1)") == true }
        let isSettled = rows.allSatisfy { $0.0 != "unknown" && $0.0 != "sending" }
        let holds = isOneForOne && isSettled && made.count == expected
        WindowTable.shared.add(
            .init(
                number: number, what: what, orders: made.values.reduce(0, +), charged: charged.count, events: events,
                holds: holds))
        #expect(holds, "window \(number), \(what): orders \(made), rows \(rows)")
    }
}
