import Operations
import Postgres
import Runtime
import TestSupport
import Testing

/// What operators and a charge run ask of a ledger reads what they get, however many charges there are.
@Suite struct LargeLedgerTests {
    private let url: String

    init() throws {
        url = try PostgresServer.shared.migratedDatabase("subscriptions")
        let connection = try PostgresServer.shared.connect(to: url)
        // Those that are looked for are the oldest; then come those of three months that were charged.
        try connection.run(
            script: """
                INSERT INTO charge (subscription_id, period, state, request_id, customer_id, sku_id, in_doubt, lease_until,
                                    created_at, charged_at, platform_order, retired_at)
                SELECT subscription, period, state, subscription || period, 'c', 1, state = 'unknown', now(), now(),
                       CASE state WHEN 'charged' THEN now() END, CASE state WHEN 'charged' THEN '{}' END,
                       CASE WHEN is_retired THEN now() END
                FROM (
                    SELECT state || n, '2026-08', state, false
                    FROM unnest('{unknown,declined,released}'::text[]) state, generate_series(1, 5) n
                    UNION ALL SELECT 'retired' || n, '2026-08', 'charged', true FROM generate_series(1, 5) n
                    UNION ALL SELECT n::text, period, 'charged', false
                    FROM unnest('{2026-09,2026-10,2026-11}'::text[]) period, generate_series(101, 10100) n
                ) made (subscription, period, state, is_retired);
                INSERT INTO charge_event (charge_id, attempt, request_id, what, platform_status)
                SELECT id, 1, request_id, 'declined', 402 FROM charge WHERE state = 'declined';
                ANALYZE charge, charge_event;
                """, deadline: .never)
    }

    @Test func operatorsReadWhatTheyGet() throws {
        func looks(_ count: Int, _ name: String, _ look: (ChargeRecords) throws -> Int) throws {
            // A session of its own, as each command has.
            let database = Database(url: url, application: "test")
            var found: Int?
            let read = try database.rowsRead(of: "charge") { found = try look(ChargeRecords(database)) }
            #expect(found == count && read < 500, "\(name)")
        }
        func list(_ state: ChargeRecords.State?, period: String? = nil) -> (ChargeRecords) throws -> Int {
            { try $0.list(period: period, state: state, olderThan: nil, limit: 101).count }
        }
        try looks(101, "all", list(nil))
        for state in [ChargeRecords.State.unknown, .declined, .released] {
            try looks(5, state.rawValue, list(state))
        }
        try looks(0, "sending", list(.sending))
        try looks(5, "declined of a month", list(.declined, period: "2026-08"))
        try looks(1, "a number") { try $0.find("charge:20020").count }
        try looks(4, "a subscription and a number") { try $0.find("101").count }
        try looks(1, "a deleted subscription") { try $0.find("retired3").count }
        try looks(0, "nobody") { try $0.find("nobody").count }
        try looks(1, "declined") { try $0.declined(period: "2026-08").contains(Array("declined3".utf8)) ? 1 : 0 }
        try looks(10, "request ids that are used") { try $0.usedRequestIDs(period: "2026-08").count }
    }
}
