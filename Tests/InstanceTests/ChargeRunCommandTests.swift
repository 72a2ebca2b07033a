import Postgres
import Runtime
import TestSupport
import Testing

@testable import Instance

/// What `taproom charge-run` takes from the instance: its month and its gateway.
@Suite struct ChargeRunCommandTests {
    private let instance: TestInstance
    /// Has an empty list of the eligible.
    private let gateway: ScriptedPlatform

    init() throws {
        instance = try TestInstance(folder: TemporaryFolder())
        gateway = try ScriptedPlatform()
        gateway.behave { _ in .answer(200, "[]") }
        let url = try PostgresServer.shared.freshDatabase()
        // The last day of November in UTC, at noon.
        try PostgresServer.shared.connect(to: url).run(
            script: """
                CREATE FUNCTION billing_period(p_at timestamptz, p_zone text) RETURNS char(7) LANGUAGE sql STABLE
                RETURN to_char(timestamptz '2026-11-30 12:00:00Z' AT TIME ZONE p_zone, 'YYYY-MM');
                CREATE TABLE charge (id bigint, period text, state text, request_id text, retired_at timestamptz);
                CREATE TABLE charge_event (charge_id bigint, request_id text, what text, platform_status int);
                """, deadline: .soon)
        try StartedInstance(
            state: instance.state, gatewayPort: gateway.port, databases: ["subscriptions": url],
            parameters: ["billing.time_zone": "Pacific/Kiritimati"]
        ).write()
    }

    @Test("the month is that of the time zone the instance was started with") func monthOfTheZone() throws {
        let run = try instance.run(
            "charge-run", "--json", "--retry-declined", "--gateway", "http://127.0.0.1:\(gateway.port)")
        #expect(try TestJSON(parsing: run.output)["period"]?.string == "2026-12", "\(run)")
    }

    @Test("whoever else has the instance's port is not asked to charge") func othersPort() throws {
        let down = try instance.run("charge-run", "--json", "--retry-declined")
        #expect(down.status == 1 && down.errors.contains("is down: run make up first"), "\(down)")
        try instance.supervise(["nginx": "/bin/sleep 600"])
        let other = try instance.run("charge-run", "--json", "--retry-declined")
        #expect(other.status == 1 && other.errors.contains("does not listen at http://127.0.0.1:\(gateway.port)"))
        #expect(gateway.requests.isEmpty)
    }
}
