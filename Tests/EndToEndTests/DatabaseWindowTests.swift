import Foundation
import Postgres
import Runtime
import TestSupport
import Testing

extension OutageWindowTests {
    // MARK: What PostgreSQL does

    enum Outage: String, CaseIterable { case restarted, crashed, failedOver = "failed over to fresh connections" }

    @Test("whatever PostgreSQL does between two steps, the charge is made once", arguments: Breakage.Point.allCases)
    func window18DatabaseAway(point: Breakage.Point) throws {
        for outage in Outage.allCases {
            let window = try window(18)
            let held = try hold(window, at: point)
            switch outage {
            case .restarted: try broken.restartDatabase(SIGINT)
            case .crashed: try broken.restartDatabase(SIGQUIT)
            case .failedOver: try broken.cutSessions()
            }
            try broken.release()
            let answer = try held.value()
            // A session that breaks under the first statement is a refusal; later, the outcome is recorded on another.
            let isRefusal = point == .beforeBegin && answer.problem == "database-unavailable"
            #expect(answer.status == 200 || isRefusal, "\(point) \(outage): \(answer.text)")
            let settled = try window.settle("a")
            #expect(isRefusal || settled.body == answer.body)
            #expect(window.sent == ["a"])
            try window.audit("PostgreSQL \(outage.rawValue) at \(point.rawValue)")
        }
    }
}

extension ChargeWindowTests {
    // MARK: Clocks

    @Test("the host's clock is off by hours: the ledger's times and leases are PostgreSQL's", arguments: [5, -5])
    func window16HostClockOff(hours: Int) throws {
        let shop = broken.shop
        let function = "\(shop.executables)/ChargeFunction"
        let library = try Self.shiftedClock()
        try FileManager.default.moveItem(atPath: function, toPath: "\(function).real")
        defer {
            try? FileManager.default.removeItem(atPath: function)
            try? FileManager.default.moveItem(atPath: "\(function).real", toPath: function)
            broken.killFunction()
        }
        let script =
            "#!/bin/sh\nCLOCK_SHIFT=\(hours * 3600) LD_PRELOAD=\(library.path)/clock.so exec \(function).real\n"
        try Data(script.utf8).write(to: URL(filePath: function))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: function)
        broken.killFunction("ChargeFunction.real")

        let window = try window(16)
        let hour = Self.hour(shiftedBy: hours)
        let gate = Gate()
        platform.behave { _ in .holdAfterActing(gate) }
        let first = window.chargeInBackground("a")
        try Eventually.happens("the call") { window.sent == ["a"] }
        #expect(
            try window.charge("b").problem == "charge-in-progress", "the lease runs, whatever the host's clock says")
        gate.open()
        let charged = try first.value()
        #expect(charged.status == 200, "\(charged.text)")
        let distance = try broken.sql(
            """
            SELECT count(*) FROM charge WHERE subscription_id = \(window.subscription)
            AND period = billing_period(now(), 'UTC')
            AND created_at > now() - interval '1 hour' AND charged_at BETWEEN created_at AND now()
            """)[0].decode(Int.self)
        #expect(distance == 1)
        // The function did live by another clock: its log says so.
        try Eventually.happens("a line by that clock") {
            // The hour may end meanwhile.
            let hours = [hour, Self.hour(shiftedBy: hours)]
            return try shop.log("charge").contains { hours.contains($0["time"]?.string?.prefix(13) ?? "") }
        }
        try window.audit("function's clock off by \(hours) hours")
    }

    /// The hour such as 2026-11-21T05, as the log writes it.
    private static func hour(shiftedBy hours: Int) -> Substring {
        Date(timeIntervalSinceNow: Double(hours) * 3600).ISO8601Format().prefix(13)
    }

    /// A library that sets the calendar clock of the program that loads it CLOCK_SHIFT seconds ahead.
    private static func shiftedClock() throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        try folder.write(
            "clock.c",
            """
            #include <stdlib.h>
            #include <sys/syscall.h>
            #include <time.h>
            #include <unistd.h>
            int clock_gettime(clockid_t clock, struct timespec *time) {
                int result = syscall(SYS_clock_gettime, clock, time);
                const char *shift = getenv("CLOCK_SHIFT");
                if (clock == CLOCK_REALTIME && shift) time->tv_sec += atol(shift);
                return result;
            }
            """)
        let run = try TestProcess.run(
            "clang", ["-shared", "-fPIC", "-o", "\(folder.path)/clock.so", "\(folder.path)/clock.c"])
        guard run.status == 0 else { throw PrivateInstance.Failed(description: run.errors) }
        return folder
    }
}
