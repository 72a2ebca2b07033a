import Events
import Glibc
import Postgres
import Runtime
import TestSupport
import Testing

@testable import Messaging

@Suite struct AddressTests {
    @Test func takesAnAddressApart() throws {
        let address = try BrokerAddress("amqp://us%40er:p%3Aa%2Fss@broker.example:5673/my%2Fhost")
        #expect(address.host == "broker.example" && address.port == 5673 && address.virtualHost == "my/host")
        #expect(address.user == "us@er" && address.password == "p:a/ss")
        let short = try BrokerAddress("amqp://a:b@[::1]")
        #expect(short.host == "::1" && short.port == 5672 && short.virtualHost == "/")
        #expect(!"\(address) \(String(reflecting: address))".contains("p:a/ss"))
    }

    @Test(arguments: [
        "", "http://a:secret@h", "amqps://a:secret@h", "amqp://h", "amqp://secret@h", "amqp://a:secret@h:0",
        "amqp://a:secret@h:x", "amqp://a:secret@", "amqp://a:secret%zz@h", "amqp://a:secret@h/x/y",
        "amqp://a:secret@h/?heartbeat=1", "amqp://:secret@h",
    ])
    func refusesWhatIsNone(uri: String) {
        let error = #expect(throws: BrokerError.self) { try BrokerAddress(uri) }
        #expect(error.map { "\($0)".contains("secret") } == false)
    }
}

@Suite struct EnvelopeTests {
    @Test func goesThereAndBack() {
        let envelope = Envelope(
            id: "e1", type: "club.opened", source: "/taproom/x", subject: "s", time: "2026-11-21T00:00:00Z",
            sequence: 7,
            cause: .init(
                traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", correlationID: "c",
                causationID: "d"))
        let message = envelope.message(data: "{}")
        #expect(message.headers["cloudEvents_specversion"] == .text("1.0"))
        let read = Envelope(message, routingKey: "elsewhere")
        #expect(read.id == "e1" && read.type == "club.opened" && read.source == "/taproom/x" && read.subject == "s")
        #expect(read.time == "2026-11-21T00:00:00Z" && read.sequence == 7 && read.cause == envelope.cause)
    }

    @Test func ofAForeignCauseOnlyWhatCanBePassedOnIsRead() {
        var message = Message(body: [])
        message.headers = ["cloudEvents_correlationid": .text("a\u{0}b"), "cloudEvents_traceparent": .text("00-0")]
        let cause = Envelope(message, routingKey: "a.b").cause
        #expect(cause.correlationID == nil && cause.traceparent == nil)
    }

    @Test func aCopyKeepsItsIdentityAndNothingOfTheBroker() {
        var message = Message(body: Array("{}".utf8))
        message.headers = ["x-delivery-count": .integer(3), "own": .text("kept")]
        let first = Envelope(message, routingKey: "a.b")
        let copy = first.stamped(message)
        let second = Envelope(copy, routingKey: "a.queue")
        #expect(second.id == first.id && second.type == "a.b")
        #expect(copy.headers["own"] == .text("kept") && copy.headers["x-delivery-count"] == nil)
    }

    @Test func retryQueuesAreNamedByTheirDelay() {
        let topology = ConsumerTopology(queue: "q", routingKeys: [])
        #expect(
            topology.queues.map(\.name)
                == ["q.dead", "q", "q.retry.5s", "q.retry.30s", "q.retry.2m", "q.retry.10m", "q.retry.1h"])
        #expect(topology.retryQueue(attempt: 1) == "q.retry.5s" && topology.retryQueue(attempt: 6) == nil)
    }
}

extension MessagingTests {
    @Suite struct SessionTests {
        private var address: BrokerAddress { get throws { try BrokerAddress(Lab.broker.url) } }
        private func publisher() throws -> Publisher {
            try Publisher(Session(address, name: "test", deadline: .soon), deadline: .soon)
        }

        @Test func saysWhereNobodyListensAndWhoIsNotKnown() throws {
            let nowhere = try BrokerAddress("amqp://a:secret@127.0.0.1:\(try Loopback.freePort())/")
            let absent = #expect(throws: BrokerError.self) {
                try Session(nowhere, name: "test", deadline: .after(milliseconds: 2000))
            }
            #expect("\(absent, default: "")".contains("RabbitMQ at \(nowhere.place) is unavailable"))
            let place = try address.place
            let stranger = try BrokerAddress("amqp://taproom:secret@\(place)/")
            let unknown = #expect(throws: BrokerError.self) { try Session(stranger, name: "test", deadline: .soon) }
            #expect("\(unknown, default: "")".contains("\(place) refused: 403"))
            #expect(!"\(unknown, default: "")\(absent, default: "")".contains("secret"))
        }

        @Test func knowsWhatCameOfEveryMessage() throws {
            let lab = try Lab(bindings: ["taken.#"])
            let publisher = try publisher()
            let parcels = (0..<500).map { index in
                var message = Message(body: [UInt8](repeating: 32, count: index * 10))
                message.messageID = "m\(index)"
                return Parcel(
                    message: message, exchange: lab.topology.exchange,
                    routingKey: index % 7 == 0 ? "left" : "taken.\(index)")
            }
            let outcomes = try publisher.publish(parcels, deadline: .soon)
            #expect(outcomes == parcels.indices.map { $0 % 7 == 0 ? .unroutable : .confirmed })
            let taken = outcomes.filter { $0 == .confirmed }.count
            #expect(try publisher.session.counts(lab.topology.queue, deadline: .soon).messages == taken)
            // A body of many frames comes back as it went.
            let large = [UInt8]((0..<1_000_000).map { UInt8(truncatingIfNeeded: $0) })
            try publisher.send(Message(body: large), to: lab.topology.deadLetter)
            let got = try publisher.session.get(lab.topology.deadLetter, deadline: .soon)
            #expect(got?.message.body == large)
        }

        /// An event whose id is too long for a message's has none there.
        @Test(arguments: ["m", nil])
        func whatNoQueueTakesIsNotSent(id: String?) throws {
            let publisher = try publisher()
            #expect(throws: BrokerError.notTaken(place: try address.place, queue: "nowhere")) {
                try publisher.send(Message(messageID: id, body: []), to: "nowhere")
            }
            #expect(!publisher.session.isOpen)
        }

        @Test func declaresAsOftenAsOneLikesAndRefusesAnotherShape() throws {
            let lab = try Lab()
            try lab.topology.declare(at: address, deadline: .soon)
            let session = try Session(address, name: "test", deadline: .soon)
            let error = #expect(throws: BrokerError.self) {
                try session.declareQueue(ConsumerTopology.Queue(lab.topology.queue), deadline: .soon)
            }
            #expect("\(error, default: "")".contains("406") && !session.isOpen)
            let empty = QueueCounts(messages: 0, consumers: 0)
            let counts = try QueueCounts.of(
                [lab.topology.queue, "missing", lab.topology.deadLetter], at: address, deadline: .soon)
            #expect(counts == [lab.topology.queue: empty, "missing": nil, lab.topology.deadLetter: empty])
        }
    }
}
