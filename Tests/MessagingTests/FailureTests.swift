import Glibc
import Postgres
import Runtime
import TestSupport
import Testing

@testable import Messaging

extension MessagingTests {
    /// Events that fail, and what an operator does with them.
    @Suite struct FailureTests {
        @Test func anEventThatFailsIsTriedAgainAndDelaysNobody() throws {
            let lab = try Lab(retry: [1, 1])
            try lab.breakMode("throw")
            let (relay, consumer) = (try lab.relay.start(), try lab.consumer.start())
            defer { relay.terminate() }
            try lab.write(10)
            try lab.write(1, mode: "throw")
            try lab.write(10)
            try Eventually.happens("the others") { try lab.effects() == 20 }
            try lab.waitForDeadLetters(1)
            let letter = try #require(try lab.deadLetters.list(deadline: .soon).first)
            #expect(letter.attempts == 3 && letter.error.contains("Refusal") && letter.type == "ledger.entry")
            func failures() -> Int { consumer.lines.filter { $0.contains("\"result\":\"failed\"") }.count }
            try Eventually.happens("a line for each attempt") { failures() >= 3 }
            #expect(failures() == 3)
            // Reading leaves it where it is.
            #expect(try lab.deadLetters.list(deadline: .soon).map(\.id) == [letter.id])
            // Sent again, it has as many attempts as at first.
            #expect(try lab.redrive().count == 1)
            try lab.waitForDeadLetters(1)
            #expect(try lab.deadLetters.list(deadline: .soon).map(\.attempts) == [3])
            try lab.mend()
            #expect(try lab.redrive(.event(id: letter.id)) == [letter.id])
            try lab.audit()
            #expect(try lab.deadLetters.list(deadline: .soon).isEmpty)
        }

        @Test("the line about an event that failed has the request id and the trace that its handler saw")
        func oneContext() throws {
            let lab = try Lab()
            try lab.breakMode("throw")
            // Neither correlation id nor trace: both are made.
            let run = try lab.consumer.run(
                event: """
                    {"specversion": "1.0", "id": "x", "type": "ledger.entry", "source": "x", "data": {"mode": "throw"}}
                    """)
            #expect(run.end == .exited(1) && run.lines.count == 1, "\(run)")
            let line = try TestJSON(parsing: try #require(run.lines.first))
            let error = try #require(line["error"]?.string)
            for name in ["request_id", "trace"] {
                let made = try #require(line[name]?.string)
                #expect(!made.isEmpty && error.contains(made), "\(name): \(line)")
            }
        }

        @Test func whatCanNeverSucceedIsADeadLetterAtOnce() throws {
            let lab = try Lab(retry: [3600])
            try lab.breakMode("give-up")
            let (relay, consumer) = (try lab.relay.start(), try lab.consumer.start())
            defer { for process in [relay, consumer] { process.terminate() } }
            try lab.write(1, mode: "give-up")
            try lab.sql {
                for data in ["{\"mode\": 7}", "no JSON"] {
                    try $0.execute(
                        """
                        INSERT INTO outbox (type, subject, sequence, data) VALUES ('ledger.odd', 'odd', 1, \(data))
                        """, deadline: .soon)
                }
            }
            try lab.write(5)
            try Eventually.happens("the others") { try lab.effects() == 5 }
            try lab.waitForDeadLetters(3)
            let errors = try lab.deadLetters.list(deadline: .soon).map(\.error)
            for reason in ["takes no such entry", "mode must be of type String", "is not valid JSON"] {
                #expect(errors.contains { $0.contains(reason) }, "\(errors)")
            }
            // Undecodable ones are discarded, and only when they are on record.
            struct NoRoom: Error {}
            #expect(throws: NoRoom.self) {
                try lab.deadLetters.discard(.all, deadline: .soon) { _ in throw NoRoom() }
            }
            // What one reader gives back is there for the next one at once.
            for _ in 0..<30 { #expect(try lab.deadLetters.list(deadline: .soon).count == 3) }
            var recorded: [String] = []
            try lab.deadLetters.discard(.all, deadline: .soon) { recorded.append($0.data) }
            #expect(recorded.contains("no JSON") && recorded.count == 3)
            #expect(try lab.deadLetters.list(deadline: .soon).isEmpty)
        }

        @Test func anEventWhoseIDIsTooLongToKeepIsADeadLetterAtOnce() throws {
            let lab = try Lab(retry: [3600])
            let publisher = try Publisher(Session(lab.address, name: "test", deadline: .soon), deadline: .soon)
            let event = Message(messageID: String(repeating: "x", count: 129), body: Array("{}".utf8))
            let parcel = Parcel(message: event, exchange: lab.topology.exchange, routingKey: "ledger.x")
            #expect(try publisher.publish([parcel], deadline: .soon) == [.confirmed])
            let consumer = try lab.consumer.start()
            defer { consumer.terminate() }
            try lab.waitForDeadLetters(1)
            #expect(try lab.deadLetters.list(deadline: .soon).map(\.attempts) == [1])
        }

        @Test("dead letters are the oldest first at every look, and are sent again in that order")
        func order() throws {
            let lab = try Lab()
            let publisher = try Publisher(Session(lab.address, name: "test", deadline: .soon), deadline: .soon)
            // More than 32 come back to a quorum queue in any order.
            let ids = (1...62).map { "e\($0 % 7)-\($0)" }
            for (number, id) in ids.enumerated() {
                let attributes = [
                    "id": id, "sequence": "\(number)", "time": "2026-11-21T09:30:\(number < 30 ? "00" : "00.5")Z",
                ]
                var event = Message(body: Array("{}".utf8))
                for (name, value) in attributes { event.headers["cloudEvents_\(name)"] = .text(value) }
                try publisher.send(event, to: lab.topology.deadLetter)
            }
            for _ in 1...2 {
                #expect(try lab.deadLetters.list(deadline: .soon).map(\.id) == ids)
                try lab.waitForDeadLetters(62)
            }
            #expect(try lab.deadLetters.list(limit: 10, deadline: .soon).map(\.id) == Array(ids[..<10]))
            try lab.waitForDeadLetters(62)
            #expect(try lab.redrive() == ids)
        }

        @Test func whatFollowsARefusedEventOfItsSubjectIsSentAgainAfterIt() throws {
            let lab = try Lab(bindings: ["ledger.entry"])
            let session = try Session(lab.address, name: "test", deadline: .soon)
            let full = "\(lab.number).full"
            try session.declareQueue(
                ConsumerTopology.Queue(full, ["x-max-length": .integer(1), "x-overflow": .text("reject-publish")]),
                deadline: .soon)
            try session.bind(full, to: lab.topology.exchange, routingKey: "ledger.refused", deadline: .soon)
            // It tells how often the refused one was sent.
            let seen = "\(lab.number).seen"
            try session.declareQueue(ConsumerTopology.Queue(seen), deadline: .soon)
            try session.bind(seen, to: lab.topology.exchange, routingKey: "ledger.refused", deadline: .soon)
            let publisher = try Publisher(session, deadline: .soon)
            let filler = Parcel(message: Message(messageID: "filler", body: []), exchange: "", routingKey: full)
            try Eventually.happens("the queue to be full") {
                try publisher.publish([filler], deadline: .soon) == [.refused]
            }
            try lab.write(1)
            try lab.write(1, type: "ledger.refused")
            try lab.write(2, subjects: 2)
            let relay = try lab.relay.start()
            defer { relay.terminate() }
            try Eventually.happens("the refusal") { relay.lines.contains { $0.contains("did not take these events") } }
            let sent = try lab.sql {
                try $0.execute(
                    "SELECT subject || sequence FROM outbox WHERE state = 'sent' ORDER BY 1", deadline: .soon
                ).map { try $0.decode(String.self) }
            }
            #expect(sent == ["s01", "s11", "s12"])
            try Eventually.happens("the refused one to be sent again and again") {
                try session.counts(seen, deadline: .soon).messages >= 4
            }
            // Those of the table, and once more the two that followed it at first.
            #expect(try session.counts(lab.topology.queue, deadline: .soon).messages == 5)
        }

        @Test func anEventThatKillsItsConsumerHarmsNoOther() throws {
            let lab = try Lab(retry: [1], prefetch: 50, batch: 20)
            try lab.breakMode("trap")
            try lab.write(30)
            try lab.write(1, mode: "trap")
            try lab.write(60)
            let relay = try lab.relay.start()
            defer { relay.terminate() }
            // As supervisord would. A backtrace takes seconds each time.
            func start() throws -> ChildProcess { try lab.consumer.start(["SWIFT_BACKTRACE": "enable=no"]) }
            var consumer = try start()
            var deaths = 0
            func restartUntil(_ what: String, _ condition: () throws -> Bool) throws {
                try Eventually.happens(what) {
                    if consumer.end != nil {
                        deaths += 1
                        consumer = try start()
                    }
                    return try condition()
                }
            }
            try restartUntil("the others") { try lab.effects() == 90 }
            // None of the others was ever set aside.
            let queue = lab.topology.deadLetter
            try restartUntil("one dead letter") {
                try QueueCounts.of([queue], at: lab.address, deadline: .soon)[queue]??.messages == 1
            }
            #expect(deaths >= 3 && deaths <= 7, "\(deaths)")
            #expect(try lab.count("SELECT count(*) FROM effect") == 90)
            #expect(try lab.deadLetters.list(deadline: .soon).first?.error.contains("ended") == true)
            try lab.mend()
            #expect(try lab.redrive().count == 1)
            try lab.audit()
        }

        @Test("ids that are canonically equivalent and not the same bytes are two events, also in one transaction")
        func equivalentIDs() throws {
            let lab = try Lab(retry: [1])
            let publisher = try Publisher(Session(lab.address, name: "test", deadline: .soon), deadline: .soon)
            for id in (0..<10).flatMap({ ["\u{E9}\($0)", "e\u{301}\($0)"] }) {
                var message = Message(body: Array("{}".utf8))
                message.messageID = id
                let parcel = Parcel(message: message, exchange: lab.topology.exchange, routingKey: "ledger.x")
                #expect(try publisher.publish([parcel], deadline: .soon) == [.confirmed])
            }
            let consumer = try lab.consumer.start()
            defer { consumer.terminate() }
            try Eventually.happens("all") { consumer.lines.filter { $0.contains("\"result\"") }.count == 20 }
            #expect(try lab.effects() == 20)
        }

        @Test func messagesOfOthersAreTakenAsTheyCome() throws {
            let lab = try Lab(retry: [1])
            let consumer = try lab.consumer.start()
            defer { consumer.terminate() }
            let session = try Session(lab.address, name: "test", deadline: .soon)
            let publisher = try Publisher(session, deadline: .soon)
            var colon = Message(body: Array("{}".utf8))
            colon.headers = ["cloudEvents:id": .text("colon"), "cloudEvents:type": .text("ledger.entry")]
            var named = Message(body: Array("{}".utf8))
            named.messageID = "named"
            let bare = Message(body: Array("{ }".utf8))
            for message in [colon, named, bare, colon, named, bare] {
                let parcel = Parcel(message: message, exchange: lab.topology.exchange, routingKey: "ledger.x")
                #expect(try publisher.publish([parcel], deadline: .soon) == [.confirmed])
            }
            try Eventually.happens("six messages") {
                consumer.lines.filter { $0.contains("\"result\"") }.count == 6
            }
            let ids = try lab.sql {
                try $0.execute("SELECT event_id FROM effect ORDER BY place", deadline: .soon).map {
                    try $0.decode(String.self)
                }
            }
            #expect(ids.count == 3 && ids[..<2] == ["colon", "named"] && ids[2].hasPrefix("sha256:"))
        }
    }
}
