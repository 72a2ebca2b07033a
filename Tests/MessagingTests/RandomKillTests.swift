import Foundation
import Messaging
import Postgres
import Runtime
import TestSupport
import Testing

extension MessagingTests {
    /// Events under way while relay, consumer, broker and database are killed at random, counted one for one in the end.
    ///
    /// TAPROOM_AUDIT_EVENTS says how many (default 1,500), TAPROOM_AUDIT_SEED makes the choices of a former run again.
    @Suite struct RandomKillTests {
        private static func number(_ name: String) -> UInt64? {
            ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
        }

        @Test func everyEffectHappensOnce() throws {
            let goal = Int(Self.number("TAPROOM_AUDIT_EVENTS") ?? 1500)
            let seed = Self.number("TAPROOM_AUDIT_SEED") ?? .random(in: 0..<1_000_000)
            var random = SeededGenerator(seed: seed)
            let server = try PostgresServer()
            let lab = try Lab(on: server, retry: [1, 2, 4, 8], prefetch: 50, batch: 20)
            let run = Run(
                lab: lab, relays: [try lab.relay.start(), try lab.relay.start()], consumer: try lab.consumer.start())
            let isWriting = Lock(true)
            let writer = Background {
                defer { isWriting.withLock { $0 = false } }
                return try Self.write(goal, lab, seed: seed)
            }
            var kills: [String: Int] = [:]
            // At least one broker's and one database's death, whatever the dice say.
            var plan = ["broker", "database", "relay", "consumer"].shuffled(using: &random)
            while isWriting.withLock({ $0 }) || lab.isBusy() {
                // Longer than a consumer takes to start, or nothing would ever get done.
                usleep(UInt32.random(in: 300_000...1_200_000, using: &random))
                let victim = plan.popLast() ?? Self.victim(UInt32.random(in: 0..<100, using: &random))
                kills[victim, default: 0] += 1
                switch victim {
                case "relay": try run.killRelay(Int.random(in: 0...1, using: &random))
                case "consumer": try run.killConsumer()
                case "broker":
                    try Lab.broker.kill()
                    try Lab.broker.start()
                default: try server.restart(mode: .immediate)
                }
            }
            let written = try writer.value()
            try lab.audit(within: 120)
            let events = try lab.count("SELECT count(*) FROM outbox")
            let repeats = run.consumerLines.filter { $0.contains("\"result\":\"repeated\"") }.count
            print(
                """
                random kills, seed \(seed): \(events) events, \(try lab.effects()) effects, \(try lab.mismatches()) \
                mismatches, \(repeats) repeats recognised, killed \(kills.sorted { $0.key < $1.key })
                """)
            #expect(events >= written && written >= goal)
            #expect(try lab.deadLetters.list(deadline: .soon).isEmpty)
        }

        private static func victim(_ throwOf: UInt32) -> String {
            switch throwOf {
            case ..<4: "broker"
            case ..<14: "database"
            case ..<55: "relay"
            default: "consumer"
            }
        }

        /// Writes events in transactions of one to forty.
        /// - Returns: how many are known to be committed; one whose commit was cut off may be there as well.
        private static func write(_ goal: Int, _ lab: Lab, seed: UInt64) throws -> Int {
            var random = SeededGenerator(seed: seed &+ 1)
            var written = 0
            while written < goal {
                let count = Int.random(in: 1...10, using: &random)
                let subjects = Int.random(in: 1...4, using: &random)
                if (try? lab.write(count, subjects: subjects)) == nil {
                    usleep(20_000)
                    continue
                }
                written += count * subjects
                usleep(UInt32.random(in: 0...200_000, using: &random))
            }
            return written
        }
    }
}

extension Lab {
    /// Whether events wait for their effects, or the database is away.
    fileprivate func isBusy() -> Bool {
        (try? count("SELECT count(*) FROM outbox WHERE id::text NOT IN (SELECT event_id FROM effect)")) != 0
    }
}

/// The processes of a run, started anew when they were killed.
private final class Run {
    private let lab: Lab
    private var relays: [ChildProcess]
    private var consumer: ChildProcess
    private var formerLines: [String] = []

    init(lab: Lab, relays: [ChildProcess], consumer: ChildProcess) {
        self.lab = lab
        self.relays = relays
        self.consumer = consumer
    }

    deinit { for process in relays + [consumer] { process.kill() } }

    var consumerLines: [String] { formerLines + consumer.lines }

    func killRelay(_ index: Int) throws {
        relays[index].kill()
        _ = try relays[index].waitForEnd()
        relays[index] = try lab.relay.start()
    }

    func killConsumer() throws {
        consumer.kill()
        _ = try consumer.waitForEnd()
        formerLines += consumer.lines
        consumer = try lab.consumer.start()
    }
}
