import Messaging
import Testing

@testable import Manifest

@Suite struct QueueTests {
    private static let longest = String(repeating: "q", count: 200)

    @Test func whatIsNotSaidHasADefault() throws {
        let function = try #require(
            try manifest(events: "- rabbitmq: {queue: shop.paid, routingKey: order.completed}").functions.first)
        #expect(
            function.queue
                == QueueTrigger(
                    topology: ConsumerTopology(
                        queue: "shop.paid", exchange: "taproom.events", routingKeys: ["order.completed"],
                        retry: [5, 30, 120, 600, 3600], deadLetter: "shop.paid.dead"),
                    prefetch: 20, batchSize: 1))
        #expect(function.kind == "rabbitmq" && function.routes.isEmpty && function.usesBroker)
    }

    @Test func everythingCanBeSaid() throws {
        let function = try #require(
            try manifest(
                events: "- rabbitmq:", "    queue: \(Self.longest)", "    exchange: other-events",
                "    routingKey: [order.*, '#', customer.created]", "    prefetch: 100", "    batchSize: 100",
                "    retry: [90s, 1s, 24h]", "    deadLetter: given_up"
            ).functions.first)
        let queue = try #require(function.queue)
        #expect(queue.topology.exchange == "other-events" && queue.topology.deadLetter == "given_up")
        #expect(queue.topology.routingKeys == ["order.*", "#", "customer.created"])
        #expect(queue.prefetch == 100 && queue.batchSize == 100)
        #expect(queue.topology.retry == [90, 1, 86_400])
        #expect(queue.topology.retryQueues == ["1s", "90s", "24h"].map { "\(Self.longest).retry.\($0)" })
    }

    @Test func outboxes() throws {
        let few = try #require(try manifest(events: "- outbox: {service: customers}").functions.first)
        #expect(few.outbox == OutboxTrigger(service: "customers", exchange: "taproom.events", batchSize: 200))
        #expect(few.kind == "outbox" && few.usesBroker)
        let all = try #require(
            try manifest(events: "- outbox: {service: a_b-1, exchange: x, batchSize: 5}").functions.first)
        #expect(all.outbox == OutboxTrigger(service: "a_b-1", exchange: "x", batchSize: 5))
    }

    @Test(arguments: [
        (
            "{}",
            [
                "queue: is missing; name the queue to consume",
                "routingKey: is missing; name the type of events, or a list of them",
            ]
        ),
        ("text", [": must be a mapping of keys to values, not the text \"text\""]),
        (
            "{queue: a b, routingKey: x}",
            ["queue: must be a queue's name, 1 to 200 letters, digits, dots, _ and -, not \"a b\""]
        ),
        (
            "{queue: \(longest)x, routingKey: x}",
            ["queue: must be a queue's name, 1 to 200 letters, digits, dots, _ and -, not \"\(longest)x\""]
        ),
        (
            "{queue: amq.x, routingKey: x}",
            ["queue: must not start with amq., which is the broker's own, as \"amq.x\" does"]
        ),
        (
            "{queue: q, exchange: '', routingKey: x}",
            ["exchange: must be an exchange's name, 1 to 200 letters, digits, dots, _ and -, not \"\""]
        ),
        ("{queue: q, routingKey: []}", ["routingKey: is empty; without a type no event comes"]),
        ("{queue: q, routingKey: [x, x]}", ["routingKey: has \"x\" twice; keep one"]),
        ("{queue: q, routingKey: [7]}", ["routingKey: must be a list of texts; one of it is 7"]),
        (
            "{queue: q, routingKey: a..b}",
            [
                "routingKey: must be words of letters, digits, _ and -, or * or #, with dots between them and at most 200 characters, not \"a..b\""
            ]
        ),
        (
            "{queue: q, routingKey: x, prefetch: 0}",
            ["prefetch: must be a whole number of events from 1 to 1000, not 0"]
        ),
        ("{queue: q, routingKey: x, batchSize: 21}", ["batchSize: must be at most prefetch, which is 20, not 21"]),
        (
            "{queue: q, routingKey: x, retry: [5s, 2d]}",
            ["retry: must be delays from 1s to 24h, as in [5s, 30s, 2m, 10m, 1h], not \"2d\""]
        ),
        (
            "{queue: q, routingKey: x, retry: [0s]}",
            ["retry: must be delays from 1s to 24h, as in [5s, 30s, 2m, 10m, 1h], not \"0s\""]
        ),
        (
            "{queue: q, routingKey: x, retry: [25h]}",
            ["retry: must be delays from 1s to 24h, as in [5s, 30s, 2m, 10m, 1h], not \"25h\""]
        ),
        ("{queue: q, routingKey: x, retry: [60s, 1m]}", ["retry: has 1m twice; keep one"]),
        ("{queue: q, routingKey: x, retry: [24h, 1d]}", ["retry: has 24h twice; keep one"]),
        ("{queue: q, routingKey: x, retry: 5}", ["retry: must be text, not 5"]),
        ("{queue: q, routingKey: x, deadLetter: [d]}", ["deadLetter: must be text, not a list"]),
    ])
    func refusedQueue(_ text: String, _ messages: [String]) {
        let key = "functions.yml:5: functions.f.events[0].rabbitmq"
        #expect(
            problems(events: "- rabbitmq: \(text)") == messages.map { $0.hasPrefix(":") ? key + $0 : "\(key).\($0)" })
    }

    @Test(arguments: [
        ("{}", "service: is missing; name the service whose outbox is published"),
        (
            "{service: Customers}",
            "service: must be a service's name as under migrations/, lower case letters, digits, - and _, not \"Customers\""
        ),
        ("{service: a, batchSize: 0}", "batchSize: must be a whole number of events from 1 to 10000, not 0"),
        (
            "{service: a, exchange: amq.topic}",
            "exchange: must not start with amq., which is the broker's own, as \"amq.topic\" does"
        ),
    ])
    func refusedOutbox(_ text: String, _ message: String) {
        #expect(
            problems(events: "- outbox: \(text)") == ["functions.yml:5: functions.f.events[0].outbox.\(message)"])
    }

    @Test func aFunctionHasOneKindOfEvents() {
        let queue = "- rabbitmq: {queue: q, routingKey: x}"
        #expect(
            problems(events: queue, "- outbox: {service: a}") == [
                "functions.yml:4: functions.f.events: has 2 events that are not routes; keep one, and make a function of "
                    + "each other"
            ])
        #expect(
            problems(events: "- httpApi: GET /x", queue) == [
                "functions.yml:4: functions.f.events: has a queue beside a route; make two functions of it: a process "
                    + "serves one or the other"
            ])
    }

    @Test func aQueueServesOnePurposeOfOneFunction() {
        let text = """
            functions:
              a:
                handler: Service/F
                events: [{rabbitmq: {queue: q, routingKey: x, retry: [5s]}}]
              b:
                handler: Service/F
                events: [{rabbitmq: {queue: q, routingKey: x, retry: [5s], deadLetter: other}}]
              c:
                handler: Service/F
                events: [{rabbitmq: {queue: q.dead, routingKey: x, retry: []}}]
              d:
                handler: Service/F
                events: [{outbox: {service: s}}]
              e:
                handler: Service/F
                events: [{outbox: {service: s, exchange: elsewhere}}]
            """
        let end = "of function \"a\" (line 2); a queue serves one purpose of one function"
        #expect(
            problems(in: text) == [
                "functions.yml:5: functions.b.events: \"q\" is a work queue here and a work queue \(end)",
                "functions.yml:5: functions.b.events: \"q.retry.5s\" is a retry queue here and a retry queue \(end)",
                "functions.yml:8: functions.c.events: \"q.dead\" is a work queue here and a dead letter queue \(end)",
                "functions.yml:14: functions.e.events: publishes the outbox of s to elsewhere, and function \"d\" to "
                    + "taproom.events; use one exchange",
            ])
    }

    @Test func whoWakesARelayHasOne() {
        func text(_ service: String) -> String {
            """
            functions:
              a:
                handler: Service/A
                environment: {OTHER: x, OUTBOX_SIGNAL: "${param:signals.orders}"}
                events: [{httpApi: GET /x}]
              relay: {handler: Messaging/Relay, events: [{outbox: {service: \(service)}}]}
            """
        }
        #expect(problems(in: text("orders")) == [])
        #expect(
            problems(in: text("customers")) == [
                "functions.yml:2: functions.a.environment.OUTBOX_SIGNAL: signals.orders wakes nobody: no function "
                    + "publishes the outbox of orders; add one with the event outbox: {service: orders}"
            ])
    }

    @Test func isAProgramWithItsSettings() throws {
        let manifest = try manifest(
            "timeout: 30", "reservedConcurrency: 2",
            events: "- rabbitmq: {queue: q, routingKey: [x, y.*], prefetch: 50, batchSize: 10, retry: [5s, 2m]}")
        let text = try manifest.supervisordConfiguration(.host)
        let lines = text.split(separator: "\n").map(String.init)
        for line in [
            "[program:f]", "stopwaitsecs=35", "    TAPROOM_QUEUE=\"q\",", "    TAPROOM_ROUTING_KEYS=\"x,y.*\",",
            "    TAPROOM_EXCHANGE=\"taproom.events\",", "    TAPROOM_PREFETCH=\"50\",",
            "    TAPROOM_BATCH=\"10\",", "    TAPROOM_RETRY=\"5,120\",", "    TAPROOM_DEAD_LETTER=\"q.dead\",",
            "    TAPROOM_CONCURRENCY=\"2\",",
        ] {
            #expect(lines.contains(line), "\(line)")
        }
        #expect(!text.contains("f.sock"))
        #expect(!(try manifest.supervisordConfiguration(.host, withoutBroker: true)).contains("program:f]"))
        #expect(!manifest.nginxConfiguration(.host).contains("fn_f"))
    }

    @Test func aConsumerWithoutRetriesIsToldSo() throws {
        let manifest = try manifest(events: "- rabbitmq: {queue: q, routingKey: x, retry: []}")
        let variables = try manifest.environment(of: manifest.functions[0], in: .host)
        #expect(variables.first { $0.0 == "TAPROOM_RETRY" }?.1 == "none")
        #expect(manifest.topology.queues.map(\.name) == ["q.dead", "q"])
    }

    @Test func twoRelaysShareAnExecutable() throws {
        let manifest = try Manifest.parse(
            """
            functions:
              relay-a: {handler: Messaging/Relay, events: [{outbox: {service: a, batchSize: 7}}]}
              relay-b: {handler: Messaging/Relay, events: [{outbox: {service: b}}]}
            """, file: "functions.yml")
        let text = try manifest.supervisordConfiguration(.host)
        #expect(text.matches(of: /\[program:relay-[ab]\]/).count == 2)
        #expect(text.matches(of: /taproom\/RelayFunction/).count == 2)
        #expect(text.matches(of: /stopwaitsecs=21\n/).count == 2, "longer than a relay waits for confirms")
        for value in ["TAPROOM_OUTBOX=\"a\"", "TAPROOM_EXCHANGE=\"taproom.events\"", "TAPROOM_BATCH=\"7\""] {
            #expect(text.contains(value), "\(value)")
        }
        #expect(
            manifest.outboxesTable()
                == "OUTBOX  EXCHANGE        FUNCTION  DESCRIPTION\na       taproom.events  relay-a\n"
                + "b       taproom.events  relay-b\n")
    }

    @Test func theTableOfQueues() throws {
        let manifest = try manifest(
            "description: Does it", events: "- rabbitmq: {queue: q, routingKey: [x, 'y.*']}")
        #expect(
            manifest.queuesTable()
                == "QUEUE  EVENTS              FUNCTION  DESCRIPTION\nq      taproom.events x,y.*  f         Does it\n"
                .replacing("EVENTS              ", with: "EVENTS                "))
    }
}
