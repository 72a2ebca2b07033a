import Postgres
import Runtime
import TestSupport
import Testing

@testable import Messaging

extension MessagingTests {
    /// Queues that take no event, bound beside others that do.
    @Suite struct RefusalTests {
        private func session() throws -> Session {
            try Session(BrokerAddress(Lab.broker.url), name: "test", deadline: .soon)
        }

        @Test("a full queue stops no other type of event, and gets its own in order once it has room")
        func fullQueue() throws {
            let lab = try Lab(bindings: ["ledger.entry"])
            let session = try session()
            let (full, beside) = ("\(lab.number).full", "\(lab.number).beside")
            let limited: [String: ConsumerTopology.Argument] = [
                "x-max-length": .integer(60), "x-overflow": .text("reject-publish"),
            ]
            for queue in [ConsumerTopology.Queue(full, limited), ConsumerTopology.Queue(beside)] {
                try session.declareQueue(queue, deadline: .soon)
                try session.bind(queue.name, to: lab.topology.exchange, routingKey: "ledger.refused", deadline: .soon)
            }
            let publisher = try Publisher(session, deadline: .soon)
            let filler = Parcel(message: Message(messageID: "filler", body: []), exchange: "", routingKey: full)
            try Eventually.happens("the queue to be full") {
                try publisher.publish([filler], deadline: .soon) == [.refused]
            }
            // More than two batches, and after them events of the same subjects and of ten others.
            try lab.write(2, subjects: 120, type: "ledger.refused")
            try lab.write(1, subjects: 130)
            let (relay, consumer) = (try lab.relay.start(), try lab.consumer.start())
            defer { for process in [relay, consumer] { process.terminate() } }
            try Eventually.happens("the other subjects' events") { try lab.effects() == 10 }
            try Eventually.happens("three tries") {
                try session.counts(beside, deadline: .soon).messages >= 53
            }
            // The first batch, and one more after each pause: 1 s, 2 s, 4 s and so on to 1 min.
            #expect(try session.counts(beside, deadline: .soon).messages < 70)
            let line = try #require(relay.lines.first { $0.contains("did not take these events") })
            #expect(line.contains(#""event_type":"ledger.refused""#) && line.contains("event_id"), "\(line)")
            #expect(line.contains(#""count":50"#), "\(line)")
            #expect(try lab.effects() == 10)

            try session.consume(full, tag: "test", prefetch: 100, deadline: .soon)
            var sequences: [String: [Int]] = [:]
            while sequences.values.reduce(0, { $0 + $1.count }) < 240 {
                guard case .delivery(let delivery)? = try session.next(deadline: .soon) else {
                    Issue.record("the queue has room and gets nothing")
                    break
                }
                try session.acknowledge(delivery.tag)
                let envelope = Envelope(delivery.message, routingKey: delivery.routingKey)
                guard let subject = envelope.subject, let sequence = envelope.sequence else { continue }
                if sequences[subject]?.contains(sequence) != true { sequences[subject, default: []].append(sequence) }
            }
            #expect(sequences.count == 120 && sequences.values.allSatisfy { $0 == [1, 2] }, "\(sequences)")
            try Eventually.happens("the events that waited for them") { try lab.effects() == 130 }
            try Eventually.happens("all to be marked") {
                try lab.count("SELECT count(*) FROM outbox WHERE state <> 'sent'") == 0
            }
        }

        @Test("a queue whose limit an operator takes away gets what it has refused")
        func limitTakenAway() throws {
            let lab = try Lab(bindings: ["ledger.entry"])
            let session = try session()
            let (full, policy) = ("\(lab.number).limited", "\(lab.number)-limit")
            try session.declareQueue(ConsumerTopology.Queue(full), deadline: .soon)
            try session.bind(full, to: lab.topology.exchange, routingKey: "ledger.refused", deadline: .soon)
            try Lab.broker.control(
                "set_policy", policy, "^\(full)$", #"{"max-length": 1, "overflow": "reject-publish"}"#)
            let publisher = try Publisher(session, deadline: .soon)
            let filler = Parcel(message: Message(messageID: "filler", body: []), exchange: "", routingKey: full)
            try Eventually.happens("the queue to be full") {
                try publisher.publish([filler], deadline: .soon) == [.refused]
            }
            try lab.write(2, type: "ledger.refused")
            let relay = try lab.relay.start()
            defer { relay.terminate() }
            try Eventually.happens("the refusal") { relay.lines.contains { $0.contains("did not take these events") } }
            try Lab.broker.control("clear_policy", policy)
            try Eventually.happens("the events that were refused") {
                try lab.count("SELECT count(*) FROM outbox WHERE state <> 'sent'") == 0
            }
        }

        @Test("a queue that confirms nothing stops no other type of event, and what was confirmed is marked")
        func silentQueue() throws {
            let lab = try Lab(bindings: ["ledger.entry"])
            let silent = "\(lab.number).silent"
            let session = try session()
            try session.declareQueue(ConsumerTopology.Queue(silent), deadline: .soon)
            try session.bind(silent, to: lab.topology.exchange, routingKey: "ledger.silent", deadline: .soon)
            // As one without a majority.
            try Lab.broker.control("eval", "sys:suspend('%2F_\(silent)').")
            var isSuspended = true
            func resume() throws {
                guard isSuspended else { return }
                isSuspended = false
                try Lab.broker.control("eval", "sys:resume('%2F_\(silent)').")
            }
            defer { try? resume() }
            try lab.write(1, subjects: 10)
            try lab.write(2, subjects: 20, type: "ledger.silent")
            let (relay, consumer) = (try lab.relay.start(), try lab.consumer.start())
            defer { for process in [relay, consumer] { process.terminate() } }
            try Eventually.happens("what was confirmed to be marked") {
                try lab.count("SELECT count(*) FROM outbox WHERE state = 'sent'") == 10
            }
            try lab.sql {
                try $0.execute(
                    """
                    INSERT INTO outbox (type, subject, sequence, data)
                    SELECT 'ledger.entry', 'later' || n, 1, '{}' FROM generate_series(1, 100) n
                    """, deadline: .soon)
            }
            try Eventually.happens("later events") { try lab.effects() == 110 }
            try resume()
            try Eventually.happens("all to be marked") {
                try lab.count("SELECT count(*) FROM outbox WHERE state <> 'sent'") == 0
            }
        }
    }
}
