import Postgres
import Runtime
import TestSupport
import Testing

@testable import Messaging

extension MessagingTests {
    /// Messages that AMQP allows and that nobody means well with.
    @Suite struct HostileMessageTests {
        private func session(_ lab: Lab) throws -> Session {
            try Session(lab.address, name: "test", deadline: .soon)
        }

        /// A letter with an id of its own.
        private func letter(_ id: String) -> Message {
            var message = Message(body: Array("{}".utf8))
            message.messageID = id
            return message
        }

        @Test func idsThatAreNoUTF8AreTwoEvents() throws {
            let lab = try Lab()
            let session = try session(lab)
            for last in [0xE9, 0xE8] as [UInt8] {
                let id = Array("commande-".utf8) + [last]
                try RawMessage(messageID: id).publish(to: lab.topology, over: session)
                let header = RawMessage.header("cloudEvents_id", text: Array("en-tête-".utf8) + [last])
                try RawMessage(headers: header).publish(to: lab.topology, over: session)
            }
            let consumer = try lab.consumer.start()
            defer { consumer.terminate() }
            try Eventually.happens("all") { consumer.lines.filter { $0.contains("\"result\"") }.count == 4 }
            #expect(try lab.effects() == 4)
        }

        @Test func aHeaderOfManyListsInOneAnotherEndsNoConsumer() throws {
            let lab = try Lab()
            try RawMessage(headers: RawMessage.lists("deep", depth: 26_000))
                .publish(to: lab.topology, over: session(lab))
            let consumer = try lab.consumer.start(["SWIFT_BACKTRACE": "enable=no"])
            defer { consumer.terminate() }
            try Eventually.happens("the effect") { try consumer.end != nil || lab.effects() == 1 }
            #expect(consumer.end == nil)
        }

        @Test("data that takes long to read, or that no reader of ours takes, is a dead letter at once")
        func whatIsNotRead() throws {
            let lab = try Lab(retry: [3600])
            let session = try session(lab)
            let marks = String(repeating: "\u{301}", count: 200_000) + String(repeating: "\u{316}", count: 200_000)
            try RawMessage(body: "{\"a\(marks)\": 1}").publish(to: lab.topology, over: session)
            let lists = String(repeating: "[", count: 65) + String(repeating: "]", count: 65)
            try RawMessage(body: "{\"lists\": \(lists)}").publish(to: lab.topology, over: session)
            try RawMessage().publish(to: lab.topology, over: session)
            let consumer = try lab.consumer.start()
            defer { consumer.terminate() }
            try Eventually.happens("the other") { try lab.effects() == 1 }
            try lab.waitForDeadLetters(2)
            let errors = try lab.deadLetters.list(deadline: .soon).map(\.error)
            let saysWhy = errors.allSatisfy { $0.contains("deeper than 64 levels") && $0.contains("1024 bytes") }
            #expect(saysWhy, "\(errors)")
        }

        @Test(
            "what has grown since it came, or grows by what its copy says, is set aside and sent again",
            arguments: [
                RawMessage(
                    headers: RawMessage.header([UInt8](repeating: 0xFF, count: 255), text: [0xFE]),
                    messageID: [UInt8](repeating: 0xFF, count: 255)),
                RawMessage(
                    headers: (100..<607).flatMap {
                        RawMessage.header("own-\($0)", text: [UInt8](repeating: 120, count: 245))
                    }),
            ])
        func whatGrows(_ message: RawMessage) throws {
            let lab = try Lab(retry: [1])
            try lab.breakMode("throw")
            var message = message
            message.body = #"{"mode": "throw"}"#
            try message.publish(to: lab.topology, over: session(lab))
            let consumer = try lab.consumer.start()
            try lab.waitForDeadLetters(1)
            consumer.terminate()
            #expect(try consumer.waitForEnd() == .exited(0))
            #expect(try lab.deadLetters.list(deadline: .soon).map(\.attempts) == [2])
            #expect(try lab.redrive().count == 1)
        }

        @Test func aTextThatIsNoUTF8IsPassedOnAsItCame() throws {
            let lab = try Lab()
            let session = try session(lab)
            let raw = RawMessage(headers: RawMessage.header("own", text: [0xE9]))
            try raw.publish(to: lab.topology, over: session)
            let first = try #require(try session.get(lab.topology.queue, deadline: .soon))
            try Publisher(session, deadline: .soon).send(first.message.copy(), to: lab.topology.deadLetter)
            let second = try #require(try session.get(lab.topology.deadLetter, deadline: .soon))
            #expect(second.message.headers["own"] == .bytes([0xE9]))
        }

        @Test func lettersWithEquivalentIDsAreTwo() throws {
            let lab = try Lab()
            let publisher = try Publisher(session(lab), deadline: .soon)
            for id in ["\u{E9}", "e\u{301}"] { try publisher.send(letter(id), to: lab.topology.deadLetter) }
            var gone: [[UInt8]] = []
            try lab.deadLetters.discard(.event(id: "e\u{301}"), deadline: .soon) { gone.append(Array($0.id.utf8)) }
            #expect(gone == [Array("e\u{301}".utf8)])
            #expect(try lab.deadLetters.list(deadline: .soon).map { Array($0.id.utf8) } == [Array("\u{E9}".utf8)])
        }

        @Test("however often a message says that it has failed, it ends no consumer", arguments: [Int.max, .min])
        func failures(said: Int) throws {
            let lab = try Lab(retry: [1])
            try lab.breakMode("throw")
            var message = Message(body: Array(#"{"mode": "throw"}"#.utf8))
            message.headers["taproom-attempt"] = .integer(said)
            try Publisher(session(lab), deadline: .soon).send(message, to: lab.topology.queue)
            let consumer = try lab.consumer.start()
            defer { consumer.terminate() }
            try Eventually.happens("the dead letter") {
                try consumer.end != nil || lab.deadLetters.list(deadline: .soon).count == 1
            }
            #expect(consumer.end == nil)
        }

        @Test func aReasonIsShortWhateverItsCharacters() {
            var message = letter("e")
            message.note(attempt: 1, error: "e" + String(repeating: "\u{301}", count: 100_000))
            #expect((1000...4000).contains(message.error?.utf8.count ?? 0))
        }

        @Test func aTypeThatNoRoutingKeyHoldsStopsNoOtherEvent() throws {
            let lab = try Lab()
            try lab.write(1, type: String(repeating: "🍺", count: 64))
            try lab.write(2)
            let relay = try lab.relay.start()
            defer { relay.terminate() }
            try Eventually.happens("the outbox to be empty") {
                try lab.count("SELECT count(*) FROM outbox WHERE state = 'waiting'") == 0
            }
            let lost = try lab.sql {
                try $0.execute("SELECT id::text FROM outbox WHERE state = 'unroutable'", deadline: .soon).map {
                    try $0.decode(String.self)
                }
            }
            #expect(lost.count == 1)
            let isNamed = relay.lines.contains { $0.contains(lost.first ?? "") && $0.contains("routing key") }
            #expect(isNamed, "\(relay.lines)")
        }

        @Test func onlyTheBrokerSaysHowOftenAMessageCameBack() throws {
            let lab = try Lab()
            var message = letter("e")
            message.headers["x-delivery-count"] = .integer(5)
            try Publisher(session(lab), deadline: .soon).send(message, to: lab.topology.queue)
            for returns in 0...1 {
                let session = try session(lab)
                defer { session.close() }
                try session.consume(lab.topology.queue, tag: "test", prefetch: 1, deadline: .soon)
                guard case .delivery(let delivery) = try session.next(deadline: .soon) else {
                    Issue.record("nothing came")
                    return
                }
                #expect(delivery.returns == returns)
            }
        }

        @Test func whatTheBrokerMadeADeadLetterIsCalledAsBefore() throws {
            let lab = try Lab()
            let session = try session(lab)
            try RawMessage().publish(to: lab.topology, over: session)
            let delivery = try #require(try session.get(lab.topology.queue, deadline: .soon))
            try Wire.reject(delivery.tag, over: session)
            try RawMessage(expiration: "1").publish(to: lab.topology, over: session)
            try lab.waitForDeadLetters(2)
            let letters = try lab.deadLetters.list(deadline: .soon)
            #expect(letters.map(\.type) == ["ledger.x", "ledger.x"])
            let errors = Set(letters.map(\.error))
            #expect(errors == ["a consumer refused it", "it expired before a consumer took it"])
        }

        @Test("a letter whose headers fill a frame is listed and sent again, though the broker has added to them")
        func aLetterOfOneFrame() throws {
            let lab = try Lab()
            let session = try session(lab)
            // With 35 bytes beside the text, a frame with room for a count of deliveries and for nothing else.
            let full = RawMessage(headers: RawMessage.header("own", text: [UInt8](repeating: 120, count: 131_000)))
            try full.publish(to: lab.topology, over: session)
            let delivery = try #require(try session.get(lab.topology.queue, deadline: .soon))
            try Wire.reject(delivery.tag, over: session)
            let body = "{\"x\": \"\(String(repeating: "x", count: 300_000))\"}"
            let large = Message(messageID: "e", body: Array(body.utf8))
            try Publisher(session, deadline: .soon).send(large, to: lab.topology.deadLetter)
            try lab.waitForDeadLetters(2)
            #expect(try lab.deadLetters.list(deadline: .soon).count == 2)
            try lab.waitForDeadLetters(2)
            #expect(try lab.redrive().count == 2)
            let consumer = try lab.consumer.start()
            defer { consumer.terminate() }
            try Eventually.happens("both") { try lab.effects() == 2 }
        }

        @Test func anEventByHandMayBeAsLongAsOneOfTheQueue() throws {
            let lab = try Lab()
            func event(padding: Int) -> String {
                let text = String(repeating: "x", count: padding)
                return #"""
                    {"specversion": "1.0", "id": "e", "type": "ledger.x", "source": "s", "data": {"text": "\#(text)"}}
                    """#
            }
            #expect(try lab.consumer.run(event: event(padding: 2 << 20)).end == .exited(0))
            let refused = try lab.consumer.run(event: event(padding: 129 << 20))
            #expect(refused.end == .exited(64))
            #expect(refused.lines.joined().contains("The event is longer than \(129 << 20) bytes."))
        }

        @Test func lanesThatAreThereTwiceSendEachEventOnce() throws {
            let lab = try Lab()
            try lab.sql {
                try $0.run(
                    script: """
                        ALTER TABLE outbox_lane DROP CONSTRAINT outbox_lane_pkey;
                        INSERT INTO outbox_lane (lane) SELECT generate_series(0, 7);
                        """, deadline: .soon)
            }
            try lab.write(3, subjects: 8)
            let relay = try lab.relay.start()
            defer { relay.terminate() }
            try Eventually.happens("the outbox to be empty") {
                try lab.count("SELECT count(*) FROM outbox WHERE state = 'waiting'") == 0
            }
            #expect(try session(lab).counts(lab.topology.queue, deadline: .soon).messages == 24)
        }
    }
}
