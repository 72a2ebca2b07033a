import Postgres
import Runtime
import TestSupport
import Testing

/// What the suites of windows share: an instance that they break, and the platform that it charges through.
protocol WindowSuite {
    var broken: Breakage { get }
    var platform: ScriptedPlatform { get }
    var club: Int { get }
}

extension WindowSuite {
    /// An instance in good order, whatever the test before has left.
    static func prepare(_ instance: Result<PrivateInstance, any Error>) throws -> (Breakage, ScriptedPlatform, Int) {
        let shop = try instance.get()
        let broken = try Breakage(shop)
        let platform = try #require(shop.platform)
        platform.behave { _ in .order }
        try broken.release()
        try broken.stopSchedule()
        return (broken, platform, try shop.club(in: broken.database))
    }

    func window(_ number: Int) throws -> ChargeWindow {
        ChargeWindow(
            number: "\(number)", subscription: try broken.shop.subscription(inClub: club), broken: broken,
            platform: platform)
    }

    /// Charges, and the function dies at that point.
    func chargeAndDie(_ window: ChargeWindow, at point: Breakage.Point) throws {
        try broken.kill(at: point)
        let lost = try window.charge("a")
        #expect(lost.status == 502, "\(lost.text)")
        #expect(try lost.json()["executed"]?.string == "unknown")
        try broken.release()
    }

    func requestID(_ answer: HTTPProbe.Response) throws -> String? {
        try answer.json()["request_id"]?.string?.split(separator: "-").last.map(String.init)
    }

    /// Sends a charge that stands still at the point; returns when it does.
    func hold(_ window: ChargeWindow, at point: Breakage.Point) throws -> Background<HTTPProbe.Response> {
        let before = try timesHeld(at: point)
        try broken.hold(at: point)
        let held = window.chargeInBackground("a")
        try Eventually.happens("the charge to stand at \(point)") { try timesHeld(at: point) > before }
        return held
    }

    private func timesHeld(at point: Breakage.Point) throws -> Int {
        try broken.shop.log("charge").count { $0["held"]?.string == point.rawValue }
    }
}
