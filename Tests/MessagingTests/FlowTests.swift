import Glibc
import Messaging
import Postgres
import Runtime
import TestSupport
import Testing

extension MessagingTests {
    /// Events on their way from the outbox to their effects while nothing breaks.
    @Suite struct FlowTests {
        @Test func everyEventTakesEffectOnceAndInOrder() throws {
            let lab = try Lab()
            let (relay, consumer) = (try lab.relay.start(), try lab.consumer.start())
            for _ in 0..<3 { try lab.write(40, subjects: 5) }
            try lab.audit()
            #expect(try lab.outOfOrder() == 0)
            #expect(try lab.count("SELECT count(*) FROM outbox WHERE state <> 'sent'") == 0)
            #expect(try lab.count("SELECT count(*) FROM effect WHERE request_id = 'from-test'") == 600)
            for process in [relay, consumer] {
                process.terminate()
                #expect(try process.waitForEnd() == .exited(0))
            }
            // A relay that ends in good order leaves its lanes to others.
            #expect(try lab.count("SELECT count(*) FROM outbox_lane WHERE held_by IS NOT NULL") == 0)
        }

        @Test func eventsThatNobodyWantsAreMarkedAndNotSentAgain() throws {
            let lab = try Lab(bindings: ["ledger.entry"])
            try lab.write(3, type: "ledger.other")
            try lab.write(2)
            let relay = try lab.relay.start()
            try Eventually.happens("the outbox to be empty") {
                try lab.count("SELECT count(*) FROM outbox WHERE state = 'waiting'") == 0
            }
            #expect(try lab.count("SELECT count(*) FROM outbox WHERE state = 'unroutable'") == 3)
            // One line for all of a type.
            relay.terminate()
            #expect(try relay.waitForEnd() == .exited(0))
            #expect(relay.lines.filter { $0.contains("no queue is bound") }.count == 1)
        }

        /// As ADR 8 tells operators.
        @Test func whatWentNowhereIsSentAgainOnDemand() throws {
            let lab = try Lab()
            let relay = try lab.relay.start()
            defer { relay.terminate() }
            func waitUntilSettled() throws {
                try Eventually.happens("the outbox to be empty") {
                    try lab.count("SELECT count(*) FROM outbox WHERE state = 'waiting'") == 0
                }
            }
            try lab.write(3)
            try waitUntilSettled()
            try ConsumerTopology.unbind(
                lab.topology.queue, exchange: lab.topology.exchange, routingKey: "ledger.#", at: lab.address,
                deadline: .soon)
            try lab.write(2)
            try waitUntilSettled()
            #expect(try lab.count("SELECT count(*) FROM outbox WHERE state = 'unroutable'") == 2)
            let consumer = try lab.consumer.start()
            defer { consumer.terminate() }
            try Eventually.happens("the consumer to be there") { try lab.effects() == 3 }
            try lab.sql {
                try $0.execute(
                    """
                    UPDATE outbox SET state = 'waiting'
                    WHERE state <> 'waiting' AND settled_at > now() - interval '1 hour'
                    """, deadline: .soon)
            }
            try lab.audit()
        }

        @Test func whoEmptiesEveryTableDoesNotStopTheRelays() throws {
            let lab = try Lab()
            try lab.sql { try $0.run(script: "TRUNCATE outbox_lane, outbox, inbox", deadline: .soon) }
            let relays = [try lab.relay.start(), try lab.relay.start()]
            defer { for relay in relays { relay.terminate() } }
            try lab.write(3, subjects: 8)
            try Eventually.happens("all events to be sent") {
                try lab.count("SELECT count(*) FROM outbox WHERE state = 'sent'") == 24
            }
        }

        @Test func twoRelaysAtOnceKeepTheOrderOfEverySubject() throws {
            let lab = try Lab()
            let first = try lab.relay.start()
            let second = try lab.relay.start()
            let consumer = try lab.consumer.start()
            try lab.write(50, subjects: 8)
            try lab.audit()
            // Whoever holds the lanes stands still past its lease, in the middle of publishing; the other takes over.
            try lab.relay.hold(at: "publish.during")
            try lab.write(50, subjects: 8)
            try Eventually.happens("a relay to stand still") {
                (first.lines + second.lines).contains { $0.hasPrefix("{\"held\"") }
            }
            let isFirst = first.lines.contains { $0.hasPrefix("{\"held\"") }
            (isFirst ? first : second).send(signal: SIGSTOP)
            try lab.relay.go()
            try lab.audit()
            (isFirst ? first : second).send(signal: SIGCONT)
            try lab.write(20, subjects: 8)
            try lab.audit()
            #expect(try lab.outOfOrder() == 0)
            consumer.terminate()
            #expect(try consumer.waitForEnd() == .exited(0))
        }

        @Test func whatCameBeforeIsAcknowledgedWithoutAnEffect() throws {
            let lab = try Lab()
            let (relay, consumer) = (try lab.relay.start(), try lab.consumer.start())
            defer { consumer.terminate() }
            try lab.write(20)
            try lab.audit()
            try lab.sql { try $0.execute("UPDATE outbox SET state = 'waiting'", deadline: .soon) }
            try Eventually.happens("all to be sent again") {
                try lab.count("SELECT count(*) FROM outbox WHERE state = 'waiting'") == 0
            }
            try Eventually.happens("all to come again") {
                consumer.lines.filter { $0.contains("\"result\":\"repeated\"") }.count == 20
            }
            try lab.audit()
            relay.terminate()
            #expect(try relay.waitForEnd() == .exited(0))
        }

        @Test func oneEventByHandGoesTheSameWay() throws {
            let lab = try Lab()
            let event = #"{"specversion": "1.0", "id": "by-hand", "type": "ledger.entry", "source": "x", "data": {}}"#
            let first = try lab.consumer.run(event: event)
            #expect(
                first.end == .exited(0) && String(decoding: first.output, as: UTF8.self).contains("done"), "\(first)")
            let second = try lab.consumer.run(event: event)
            #expect(
                second.end == .exited(0) && String(decoding: second.output, as: UTF8.self).contains("repeated"),
                "\(second)")
            #expect(try lab.effects() == 1)
            let bad = try lab.consumer.run(event: #"{"id": "by-hand"}"#)
            #expect(bad.end == .exited(64) && bad.lines.joined().contains("specversion"), "\(bad)")
        }

        @Test("an event by hand has its sequence as a text or a number", arguments: [#""7""#, "7"])
        func sequenceByHand(_ sequence: String) throws {
            let lab = try Lab()
            let run = try lab.consumer.run(
                event: """
                    {"specversion": "1.0", "id": "x", "type": "ledger.entry", "source": "x", "sequence": \(sequence),
                     "data": {}}
                    """)
            #expect(run.end == .exited(0), "\(run)")
            #expect(try lab.count("SELECT count(*) FROM effect WHERE sequence = 7") == 1)
        }

        @Test func refusesToStartWithEveryFaultAtOnce() throws {
            let lab = try Lab()
            let process = try lab.consumer.start([
                "AMQP_URL": "http://guest:secret@127.0.0.1/", "TAPROOM_RETRY": "soon", "TAPROOM_PREFETCH": "0",
                "DATABASE_URL": "",
            ])
            #expect(try process.waitForEnd() == .exited(78))
            for name in ["AMQP_URL", "TAPROOM_RETRY", "TAPROOM_PREFETCH", "DATABASE_URL"] {
                #expect(process.lines.joined().contains(name), "\(process.lines)")
            }
            #expect(!process.lines.joined().contains("secret"))
            let relay = try lab.relay.start([
                "AMQP_URL": "http://guest:secret@127.0.0.1/", "TAPROOM_BATCH": "0", "DATABASE_URL": "",
            ])
            #expect(try relay.waitForEnd() == .exited(78))
            for name in ["AMQP_URL", "TAPROOM_BATCH", "DATABASE_URL"] {
                #expect(relay.lines.joined().contains(name), "\(relay.lines)")
            }
        }

        @Test("a relay removes what was settled long ago, also where nobody consumes and there is no inbox")
        func relayPurges() throws {
            let lab = try Lab()
            try lab.write(30)
            try lab.sql {
                try $0.run(
                    script: """
                        UPDATE outbox SET state = CASE position % 2 WHEN 0 THEN 'sent' ELSE 'unroutable' END,
                            settled_at = now() - CASE WHEN position <= 20 THEN 8 ELSE 6 END * interval '1 day';
                        DROP TABLE inbox
                        """, deadline: .soon)
            }
            let relay = try lab.relay.start()
            try Eventually.happens("the purge") { try lab.count("SELECT count(*) FROM outbox") == 10 }
            try lab.write(1)
            try Eventually.happens("the next event to be sent") {
                try lab.count("SELECT count(*) FROM outbox WHERE state = 'waiting'") == 0
            }
            #expect(!relay.lines.contains { $0.contains("inbox") }, "\(relay.lines)")
            relay.terminate()
            #expect(try relay.waitForEnd() == .exited(0))
        }

        @Test("a consumer forgets what it did long ago by itself, more than is removed at once and without an event")
        func consumerPurges() throws {
            let lab = try Lab()
            try lab.sql {
                try $0.run(
                    script: """
                        INSERT INTO inbox SELECT 'ledger', n::text, now() - n * interval '1 hour'
                        FROM generate_series(1, 3000) n
                        """, deadline: .soon)
            }
            let consumer = try lab.consumer.start()
            try Eventually.happens("the purge") { try lab.count("SELECT count(*) FROM inbox") == 719 }
            consumer.terminate()
            #expect(try consumer.waitForEnd() == .exited(0))
        }

        @Test func longAgoIsPurgedWhileEventsWait() throws {
            let lab = try Lab()
            try lab.write(20)
            try lab.sql {
                try $0.run(
                    script: """
                        UPDATE outbox SET state = 'sent', settled_at = now() - interval '8 days';
                        CREATE TABLE purged AS SELECT true AS others_waited LIMIT 0;
                        CREATE FUNCTION note_purge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                            INSERT INTO purged SELECT EXISTS (SELECT FROM outbox WHERE state = 'waiting');
                            RETURN NULL;
                        END $$;
                        CREATE TRIGGER note_purge AFTER DELETE ON outbox FOR EACH ROW EXECUTE FUNCTION note_purge()
                        """, deadline: .soon)
            }
            // Whole batches only: the relay has no pause before the last of them is out.
            try lab.write(1000)
            let relay = try lab.relay.start()
            defer { relay.terminate() }
            try Eventually.happens("the purge") {
                try lab.count("SELECT count(*) FROM purged") == 20
            }
            #expect(try lab.count("SELECT count(*) FROM purged WHERE NOT others_waited") == 0)
        }
    }
}

/// One broker for all, which some tests kill: so they come one after the other.
@Suite(.serialized) struct MessagingTests {}
