import Glibc
import Postgres
import Runtime
import TestSupport
import Testing

@testable import Messaging

extension MessagingTests {
    /// A broker that takes no messages for want of disk: from those who publish it reads nothing more, and so does not
    /// notice when they go.
    @Suite struct AlarmTests {
        /// Relay and consumer, each with something that it cannot send.
        private final class Blocked {
            let lab: Lab
            let relay: ChildProcess
            let consumer: ChildProcess

            init() throws {
                lab = try Lab(retry: [1])
                try lab.breakMode("throw")
                relay = try lab.relay.start()
                try lab.write(1, mode: "throw")
                try Eventually.happens("the event that will fail") { [lab] in
                    try lab.count("SELECT count(*) FROM outbox WHERE state = 'sent'") == 1
                }
                try Lab.broker.setAlarm(true)
                consumer = try lab.consumer.start()
                // More than a batch, and more than the other side takes that does not read.
                try lab.write(2, subjects: 40, mode: String(repeating: "x", count: 10_000))
                for process in [relay, consumer] {
                    try Eventually.happens("process \(process.pid) to say so") {
                        process.lines.contains { $0.contains("takes nothing") }
                    }
                }
            }

            deinit {
                for process in [relay, consumer] { process.terminate() }
                try? Lab.broker.setAlarm(false)
            }
        }

        @Test("relay and consumer wait with the sessions they have, and nothing comes twice afterwards")
        func waiting() throws {
            let blocked = try Blocked()
            let lab = blocked.lab
            let before = try Lab.broker.connections()
            // Each is a second at least: longer than an answer is waited for, and than the kernel waits for a reader.
            var leases: Set<String> = []
            try Eventually.happens("the relay to keep its lanes") {
                leases.insert(
                    try lab.sql {
                        try $0.execute("SELECT max(held_until)::text FROM outbox_lane", deadline: .soon)[0]
                            .decode(String.self)
                    })
                return try leases.count > 20 || Lab.broker.connections() > before
            }
            #expect(try Lab.broker.connections() <= before)
            try lab.mend()
            try Lab.broker.setAlarm(false)
            try lab.audit()
            #expect(!blocked.consumer.lines.contains { $0.contains("\"result\":\"repeated\"") })
            for process in [blocked.relay, blocked.consumer] {
                #expect(process.lines.contains { $0.contains("working again") }, "\(process.lines)")
            }
        }

        @Test func whoeverIsToldToEndDoesSo() throws {
            let blocked = try Blocked()
            for process in [blocked.relay, blocked.consumer] {
                process.terminate()
                #expect(try process.waitForEnd() == .exited(0))
            }
            let lab = blocked.lab
            #expect(try lab.count("SELECT count(*) FROM outbox_lane WHERE held_by IS NOT NULL") == 0)
            try lab.mend()
            let processes = [try lab.relay.start(), try lab.consumer.start()]
            defer { for process in processes { process.terminate() } }
            try Lab.broker.setAlarm(false)
            try lab.audit()
        }
    }
}
