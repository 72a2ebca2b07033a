import Glibc
import Messaging
import Postgres
import Runtime
import TestSupport
import Testing

extension MessagingTests {
    /// Broker, relay, consumer and database, each killed in every window in which an event could be lost or doubled.
    @Suite struct WindowTests {
        private static let relayWindows = [
            "relay.before-publish", "publish.during", "publish.before-confirm", "relay.before-mark",
        ]
        private static let consumerWindows = ["consumer.before-commit", "consumer.after-commit"]

        @Test func theRelayDies() throws {
            let windows = Self.relayWindows
            _ = try concurrently(windows.count) { index in
                let lab = try Lab()
                let consumer = try lab.consumer.start()
                try lab.relay.kill(at: windows[index])
                try lab.write(20, subjects: 2)
                #expect(try lab.relay.start().waitForEnd() == .killed(signal: SIGKILL))
                try lab.relay.go()
                let second = try lab.relay.start()
                try lab.audit()
                for process in [consumer, second] { process.terminate() }
            }
        }

        @Test func theConsumerDies() throws {
            let windows = Self.consumerWindows
            _ = try concurrently(windows.count) { index in
                let lab = try Lab()
                let relay = try lab.relay.start()
                try lab.consumer.kill(at: windows[index])
                try lab.write(20, subjects: 2)
                #expect(try lab.consumer.start().waitForEnd() == .killed(signal: SIGKILL))
                try lab.consumer.go()
                let second = try lab.consumer.start()
                try lab.audit()
                for process in [relay, second] { process.terminate() }
            }
        }

        @Test(arguments: ["consumer.before-decode", "consumer.before-commit"])
        func aConsumerThatStandsStillEnds(point: String) throws {
            let lab = try Lab()
            let relay = try lab.relay.start()
            try lab.consumer.hold(at: point)
            try lab.write(1)
            let first = try lab.consumer.start(["TAPROOM_TIMEOUT": "1"])
            #expect(try first.waitForEnd() == .exited(70))
            let given = try first.lines.map { try TestJSON(parsing: $0) }.filter { $0["level"]?.string == "critical" }
            #expect(given.count == 1)
            #expect(given.first?["event_id"]?.string?.isEmpty == false)
            #expect(given.first?["request_id"]?.string == "from-test")
            try lab.consumer.go()
            let second = try lab.consumer.start()
            try lab.audit()
            for process in [relay, second] { process.terminate() }
        }

        @Test func theConsumerDiesBetweenTheRetryQueueAndTheAcknowledgement() throws {
            let lab = try Lab(retry: [1])
            let relay = try lab.relay.start()
            try lab.breakMode("throw")
            try lab.consumer.kill(at: "consumer.before-retry-acknowledge")
            try lab.write(1, mode: "throw")
            try lab.write(5)
            #expect(try lab.consumer.start().waitForEnd() == .killed(signal: SIGKILL))
            try lab.mend()
            try lab.consumer.go()
            let second = try lab.consumer.start()
            try lab.audit()
            // The copy comes after its delay, and finds its work done.
            try Eventually.happens("the copy") { second.lines.contains { $0.contains("\"result\":\"repeated\"") } }
            try lab.audit()
            for process in [relay, second] { process.terminate() }
        }

        /// One kill for all windows of one kind: each has a lab of its own, whose process stands still there.
        @Test func theBrokerDies() throws {
            let held =
                try Self.relayWindows.map { try HeldLab(relayAt: $0) }
                + Self.consumerWindows.map { try HeldLab(consumerAt: $0) }
                + [try HeldLab(consumerAt: "consumer.before-retry-acknowledge", mode: "throw")]
            try Lab.broker.kill()
            for lab in held { try lab.go() }
            for lab in held { try lab.lab.mend() }
            try Lab.broker.start()
            for lab in held { try lab.lab.audit() }
        }

        @Test func theDatabaseDies() throws {
            let server = try PostgresServer()
            let held =
                try Self.relayWindows.map { try HeldLab(on: server, relayAt: $0) }
                + Self.consumerWindows.map { try HeldLab(on: server, consumerAt: $0) }
            try server.restart(mode: .immediate)
            for lab in held { try lab.go() }
            for lab in held { try lab.lab.audit() }
            // A database that is away costs no attempt, so nothing has failed.
            let lines = held.map { $0.consumer.lines.joined() }
            #expect(!lines.contains { $0.contains("set aside") })
        }

        @Test func aDatabaseThatOnlyReadsCostsNoAttempt() throws {
            let lab = try Lab()
            let relay = try lab.relay.start()
            try lab.write(3)
            try Eventually.happens("the events to be sent") {
                try lab.count("SELECT count(*) FROM outbox WHERE state <> 'sent'") == 0
            }
            relay.terminate()
            #expect(try relay.waitForEnd() == .exited(0))
            func refusals() throws -> Int {
                try lab.count("SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()")
            }
            let before = try refusals()
            try lab.setReadOnly(true)
            let consumer = try lab.consumer.start()
            // More often than a suspect event is tried in a row.
            try Eventually.happens("many tries") { try refusals() >= before + 9 }
            try lab.setReadOnly(false)
            try lab.audit()
            #expect(!consumer.lines.joined().contains("set aside"))
            consumer.terminate()
        }

        @Test func aMissingInboxCostsNoEventAnAttempt() throws {
            let lab = try Lab(retry: [1])
            try lab.sql { try $0.run(script: "ALTER TABLE inbox RENAME TO away", deadline: .soon) }
            let (relay, consumer) = (try lab.relay.start(), try lab.consumer.start())
            defer { for process in [relay, consumer] { process.terminate() } }
            try lab.write(5)
            var tries: Set<String> = []
            // More often than a suspect event is tried in a row.
            try Eventually.happens("many tries") {
                let ends: SQL = """
                    SELECT query_start::text FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'ledger' AND query = 'ROLLBACK'
                    """
                tries.formUnion(
                    try lab.sql { try $0.execute(ends, deadline: .soon) }.map { try $0.decode(String.self) })
                return tries.count > 8
            }
            #expect(
                consumer.lines.contains { $0.contains("relation \\\"inbox\\\" does not exist") }, "\(consumer.lines)")
            try lab.sql { try $0.run(script: "ALTER TABLE away RENAME TO inbox", deadline: .soon) }
            try lab.audit()
            #expect(!consumer.lines.joined().contains("set aside"))
        }

        /// The broker is there, and says nothing.
        @Test func theBrokerStandsStill() throws {
            let lab = try Lab()
            let (relay, consumer) = (try lab.relay.start(), try lab.consumer.start())
            try lab.write(5)
            try lab.audit()
            Lab.broker.freeze()
            try lab.write(5)
            try Eventually.happens("the relay to say so") {
                relay.lines.contains { $0.contains("did not confirm them") }
            }
            Lab.broker.thaw()
            try lab.audit()
            for process in [relay, consumer] { process.terminate() }
        }
    }
}

/// A lab with one process that stands still in a window, with events on both sides of it.
private final class HeldLab {
    let lab: Lab
    let relay: ChildProcess
    let consumer: ChildProcess
    private let program: Program

    init(on server: PostgresServer = .shared, relayAt window: String) throws {
        lab = try Lab(on: server)
        program = lab.relay
        (relay, consumer) = (try lab.relay.start(), try lab.consumer.start())
        try lab.write(5, subjects: 2)
        try lab.audit()
        try program.hold(at: window)
        try lab.write(5, subjects: 2)
        try relay.waitUntilHeld()
    }

    init(on server: PostgresServer = .shared, consumerAt window: String, mode: String? = nil) throws {
        lab = try Lab(on: server)
        program = lab.consumer
        (relay, consumer) = (try lab.relay.start(), try lab.consumer.start())
        try lab.write(5, subjects: 2)
        try lab.audit()
        if let mode { try lab.breakMode(mode) }
        try program.hold(at: window)
        try lab.write(5, subjects: 2, mode: mode)
        try consumer.waitUntilHeld()
    }

    func go() throws { try program.go() }
}
