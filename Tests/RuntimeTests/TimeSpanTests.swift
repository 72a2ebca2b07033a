import Testing

@testable import Runtime

@Suite struct TimeSpanTests {
    @Test(
        "what people write",
        arguments: [("90s", 90), ("15m", 900), ("1h", 3600), ("7d", 604_800), ("36500d", 3_153_600_000)])
    func written(text: String, seconds: Int) {
        #expect(TimeSpan(text)?.seconds == seconds)
    }

    @Test("what is none", arguments: ["", "h", "1", "-1h", "1.5h", "1w", "99999999999999999999h", "36501d", "١h"])
    func none(text: String) {
        #expect(TimeSpan(text) == nil)
    }

    @Test(
        "how it is said, which names retry queues",
        arguments: [(5, "5s"), (90, "90s"), (120, "2m"), (3600, "1h"), (5400, "90m"), (86_400, "24h")])
    func said(seconds: Int, text: String) {
        #expect(TimeSpan(seconds: seconds).description == text)
    }
}
