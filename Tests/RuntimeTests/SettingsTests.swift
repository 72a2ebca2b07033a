import Testing

@testable import Runtime

@Suite struct SettingsTests {
    @Test func readsWhatIsThere() {
        let settings = Settings(["A": "x", "N": "7"])
        #expect(settings.text("A") == "x")
        #expect(settings.integer("N", default: 1, in: 1...9) == 7)
        #expect(settings.text("B", default: "y") == "y")
        #expect(settings.integer("M", default: 3, in: 1...9) == 3)
        #expect(settings.faults.isEmpty)
    }

    @Test func listsEveryFault() {
        let settings = Settings([
            "EMPTY": "", "WORD": "seven", "BIG": "10", "HUGE": "99999999999999999999",
            "TAPROOM_ROUTES": "GET /a\nnonsense\nPOST b", "TAPROOM_CONCURRENCY": "0",
        ])
        _ = settings.text("ABSENT")
        _ = settings.text("EMPTY")
        for name in ["WORD", "BIG", "HUGE"] { _ = settings.integer(name, default: 1, in: 1...9) }
        let process = settings.process()
        settings.fault("LAST", "is odd")
        #expect(process.routes.map(\.key) == ["GET /a"])
        let names = settings.faults.map { String($0.prefix { $0 != " " }) }
        #expect(
            names == [
                "ABSENT", "EMPTY", "WORD", "BIG", "HUGE", "TAPROOM_ROUTES", "TAPROOM_ROUTES", "TAPROOM_CONCURRENCY",
                "LAST",
            ])
        #expect(settings.faults.filter { $0.contains("nonsense") || $0.contains("POST b") }.count == 2)
    }

    @Test func defaultsOfTheRuntime() {
        let process = Settings([:]).process()
        #expect(process.timeoutMilliseconds == 6000)
        #expect(process.concurrency == 4)
        #expect(process.routes.isEmpty)
    }
}
