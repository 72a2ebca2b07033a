import Postgres
import Testing

import struct Runtime.Deadline
import enum TestSupport.JSONValue
import class TestSupport.PostgresServer
import class TestSupport.ScriptedPlatform
import class TestSupport.TemporaryFolder

@testable import Instance

/// The month of `taproom charge-run`.
struct BillingMonthTests {
    @Test func `it is that of the time zone the instance was started with`() throws {
        let instance = try TestInstance(folder: TemporaryFolder())
        let url = try PostgresServer.shared.freshDatabase()
        // The last day of November in UTC, at noon.
        try PostgresServer.shared.connect(to: url).run(
            script: """
                CREATE FUNCTION billing_period(p_at timestamptz, p_zone text) RETURNS char(7) LANGUAGE sql STABLE
                RETURN to_char(timestamptz '2026-11-30 12:00:00Z' AT TIME ZONE p_zone, 'YYYY-MM');
                CREATE TABLE charge (id bigint, period text, request_id text, retired_at timestamptz);
                CREATE TABLE charge_event (charge_id bigint, request_id text);
                """, deadline: .after(milliseconds: 60_000))
        let state = instance.state
        try instance.folder.write(
            "state/instance.json",
            """
            {"state": "\(state)", "data": "\(state)", "run": "\(state)/run", "scope": "local", "gatewayPort": 1,
             "configurationFile": "", "databases": {"subscriptions": "\(url)"},
             "parameters": {"billing.time_zone": "Pacific/Kiritimati"}}
            """)
        let gateway = try ScriptedPlatform()
        gateway.behave { _ in .answer(200, "[]") }
        let run = try instance.run(
            "charge-run", "--json", "--retry-declined", "--gateway", "http://127.0.0.1:\(gateway.port)")
        #expect(try JSONValue(parsing: run.output)["period"]?.string == "2026-12", "\(run)")
    }
}
