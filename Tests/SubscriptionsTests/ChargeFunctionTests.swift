import Postgres
import Runtime
import TestSupport
import Testing

/// What the charge function's process makes of its environment.
@Suite struct ChargeFunctionTests: ChargeSuite {
    let setup: ChargeSetup

    init() throws { setup = try ChargeSetup() }

    private func function(_ environment: [String: String]) throws -> FunctionProcess {
        let usual = [
            "DATABASE_URL": shop.url, "ECOMMERCE_URL": platform.url, "ECOMMERCE_API_KEY": "key",
            "ECOMMERCE_API_SECRET": "secret", "ECOMMERCE_RESEND": "idempotent", "BILLING_TIME_ZONE": "UTC",
        ]
        return try FunctionProcess(
            "ChargeFunction", routes: ["POST /subscription/{id}/charge/{request_id}"], timeout: 10, concurrency: 8,
            environment: usual.merging(environment) { $1 })
    }

    @Test(
        "the month is the one of BILLING_TIME_ZONE, and the platform's scheme may be upper case, its address end with a slash"
    )
    func zoneAndAddress() throws {
        try shop.run(
            """
            CREATE OR REPLACE FUNCTION billing_period(p_at timestamptz, p_zone text) RETURNS char(7) LANGUAGE sql STABLE
            RETURN to_char(timestamptz '2026-11-30 23:30:00Z' AT TIME ZONE p_zone, 'YYYY-MM')
            """)
        let function = try function([
            "BILLING_TIME_ZONE": "Asia/Tokyo", "ECOMMERCE_URL": platform.url.replacing("http:", with: "HTTP:") + "/",
        ])
        let answer = try function.request("POST", "/subscription/\(subscription)/charge/r-1")
        #expect(try TestJSON(parsing: answer.body)["period"]?.string == "2026-12")
        #expect(platform.requests.first?.target == "/ecommerce/order/r-1")
    }

    @Test("without libcurl nothing is sent, and no charge is in doubt")
    func noLibrary() throws {
        let folder = try TemporaryFolder()
        try folder.write("libcurl.so.4", "not a library")
        let function = try function(["LD_LIBRARY_PATH": folder.path + ":" + TestProcess.product("libraries")])
        let answer = try function.request("POST", "/subscription/\(subscription)/charge/r-1")
        #expect(answer.status == 503)
        #expect(try TestJSON(parsing: answer.body)["executed"]?.string == "no")
        try Eventually.happens("a line that says what to install") {
            function.process.lines.contains { $0.contains("libcurl.so.4: install libcurl4") }
        }
        #expect(try self.function([:]).request("POST", "/subscription/\(subscription)/charge/r-2").status == 200)
        #expect(platform.orders == ["r-2": 1])
    }

    @Test func anOrderLoadsNoneOfTheLibrariesThatItDoesNotCall() throws {
        let function = try function([:])
        #expect(try function.request("POST", "/subscription/\(subscription)/charge/r-1").status == 200)
        let maps = try KernelFile.text("/proc/\(function.process.pid)/maps")
        #expect(maps.contains("/libcurl-deferred.so"))
        #expect(!maps.contains(/libldap|libgnutls|libnghttp2|libpsl|librtmp|libssl|libssh2/), "\(maps)")
    }

    @Test("to a platform that is not trusted nothing is sent, and no charge is in doubt")
    func strangersCertificate() throws {
        let stranger = try TLSServer()
        let function = try function(["ECOMMERCE_URL": "https://127.0.0.1:\(stranger.port)"])
        let answer = try function.request("POST", "/subscription/\(subscription)/charge/r-1")
        #expect(answer.status == 503)
        #expect(try TestJSON(parsing: answer.body)["executed"]?.string == "no")
        try Eventually.happens("a line that says why") {
            function.process.lines.contains { $0.contains("SSL peer certificate") }
        }
    }

    @Test func noProxyOfTheEnvironmentGetsAnOrder() throws {
        let proxy = try ScriptedPlatform()
        let function = try function(["http_proxy": proxy.url, "no_proxy": ""])
        #expect(try function.request("POST", "/subscription/\(subscription)/charge/r-1").status == 200)
        #expect(platform.orders == ["r-1": 1] && proxy.requests.isEmpty)
    }
}
