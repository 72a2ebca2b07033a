import Glibc
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
        fileprivate func whatGrows(_ message: RawMessage) throws {
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
            #expect(try lab.deadLetters.redrive(.all, deadline: .soon).count == 1)
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
            let gone = try lab.deadLetters.discard(.event(id: "e\u{301}"), deadline: .soon) { _ in }
            #expect(gone.map { Array($0.id.utf8) } == [Array("e\u{301}".utf8)])
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

/// A message byte by byte, as our own publisher would not send it.
private struct RawMessage: Sendable, CustomTestStringConvertible {
    /// The entries of its table, encoded.
    var headers: [UInt8] = []
    /// Milliseconds.
    var expiration: String?
    var messageID: [UInt8]?
    var body = "{}"

    var testDescription: String { "\(headers.count) bytes of headers" }

    static func header(_ name: String, text: [UInt8]) -> [UInt8] { header(Array(name.utf8), text: text) }

    static func header(_ name: [UInt8], text: [UInt8]) -> [UInt8] {
        Wire.short(name) + [UInt8(ascii: "S")] + Wire.long(text)
    }

    /// A list that holds a list, and so on.
    static func lists(_ name: String, depth: Int) -> [UInt8] {
        Wire.short(Array(name.utf8))
            + (0..<depth).flatMap { [UInt8(ascii: "A")] + Wire.number(UInt32(5 * (depth - 1 - $0))) }
    }

    /// Publishes it under `ledger.x`, and waits until the broker has read it.
    func publish(to topology: ConsumerTopology, over session: Session) throws {
        let routing = Wire.short(Array(topology.exchange.utf8)) + Wire.short(Array("ledger.x".utf8))
        let flags: UInt16 = 0x2000 | (expiration == nil ? 0 : 0x100) | (messageID == nil ? 0 : 0x80)
        let properties = [expiration.map { Array($0.utf8) }, messageID].compactMap { $0 }.flatMap { Wire.short($0) }
        try Wire.send(.method(60, 40, Wire.number(UInt16(0)) + routing + [0]), over: session)
        try Wire.send(
            .header(
                Wire.number(UInt16(60)) + Wire.number(UInt16(0)) + Wire.number(UInt64(body.utf8.count))
                    + Wire.number(flags) + Wire.long(headers) + properties), over: session)
        var rest = Array(body.utf8)[...]
        while !rest.isEmpty {
            try Wire.send(.body(Array(rest.prefix(100_000))), over: session)
            rest = rest.dropFirst(100_000)
        }
        _ = try session.counts(topology.queue, deadline: .soon)
    }
}

/// Frames of AMQP 0-9-1.
private enum Wire {
    enum Frame {
        case method(UInt16, UInt16, [UInt8])
        case header([UInt8])
        case body([UInt8])
    }

    static func number(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value.bigEndian, Array.init) }
    static func short(_ text: [UInt8]) -> [UInt8] { [UInt8(text.count)] + text }
    static func long(_ bytes: [UInt8]) -> [UInt8] { number(UInt32(bytes.count)) + bytes }

    /// Takes a message out of its queue, which makes it a dead letter.
    static func reject(_ tag: UInt64, over session: Session) throws {
        try send(.method(60, 90, number(tag) + [0]), over: session)
    }

    static func send(_ frame: Frame, over session: Session) throws {
        let (type, payload): (UInt8, [UInt8]) =
            switch frame {
            case .method(let group, let method, let arguments): (1, number(group) + number(method) + arguments)
            case .header(let bytes): (2, bytes)
            case .body(let bytes): (3, bytes)
            }
        var rest = ([type] + number(Session.channel) + long(payload) + [0xCE])[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { write(session.descriptor, $0.baseAddress, $0.count) }
            if written > 0 { rest = rest.dropFirst(written) }
            try #require(written > 0 || errno == EAGAIN)
            var socket = pollfd(fd: session.descriptor, events: Int16(POLLOUT), revents: 0)
            poll(&socket, 1, 1000)
        }
    }
}
