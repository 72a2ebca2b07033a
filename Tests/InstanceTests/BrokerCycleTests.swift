import Foundation
import Glibc
import Manifest
import Postgres
import Runtime
import TestSupport
import Testing

@testable import Instance
@testable import Messaging

/// The real RabbitMQ under the real supervisord, started by the tool itself, with a consumer and a relay beside it.
@Suite(.serialized) struct BrokerCycleTests {
    let project: EventProject
    let instance: TestInstance

    init() throws {
        project = try EventProject()
        instance = try TestInstance(folder: project.folder, tool: project.tool)
    }

    func up(_ instance: TestInstance? = nil, variables: [String: String] = [:]) throws -> String {
        let run = try (instance ?? self.instance).run("up", variables: variables)
        try #require(run.status == 0, "\(run.output)\(run.errors)")
        return run.output
    }

    func record() throws -> InstanceRecord { try #require(try InstanceRecord.load(state: instance.state)) }

    func broker() throws -> RunningProcess {
        let process = try Instance(record: record(), manifest: .load(from: project.folder.path + "/functions.yml"))
            .processes().first { $0.group == "rabbitmq" }
        return try #require(process?.pid.flatMap { RunningProcess(pid: pid_t($0)) })
    }

    func depths(_ queues: String..., url: String? = nil) throws -> [String: Int?] {
        let address = try BrokerAddress(url ?? instance.report().rabbitmq ?? "")
        return try QueueCounts.of(queues, at: address, deadline: .soon).mapValues {
            $0?.messages
        }
    }

    /// What becomes of an event of each type.
    func publish(_ types: String..., url: String? = nil) throws -> [Publisher.Outcome] {
        let address = try BrokerAddress(url ?? instance.report().rabbitmq ?? "")
        let session = try Session(address, name: "test", deadline: .soon)
        return try types.map { type in
            let message = Message(messageID: type, body: Array("{}".utf8))
            return try Publisher(session, deadline: .soon).publish(
                [Parcel(message: message, exchange: "shop.events", routingKey: type)], deadline: .soon)[0]
        }
    }

    @Test("up, a crash, another password, a queue that goes, an outside broker, down") func brokerCycle() throws {
        let output = try up()
        // This project has no Swagger UI.
        #expect(output.contains("described at http://127.0.0.1:\(instance.port)/openapi.yml"))
        #expect(output.contains("shop.paid  shop.events order.*  consumer"))
        #expect(!output.contains(try #require(URLComponents(string: instance.report().rabbitmq ?? "")?.password)))
        try processesHaveWhatTheyNeed()
        try nodeIsPrivate()
        #expect(
            try depths("shop.paid", "shop.paid.dead", "shop.paid.retry.5s", "shop.paid.retry.2m").allSatisfy {
                $0.value == 0
            })
        try renderedQueuesAreTheDeclaredOnes()
        #expect(try publish("order.paid") == [.confirmed])
        #expect(try publish("invoice.paid") == [.unroutable])
        try statusCounts()
        let invoked = try Subprocess.run(
            ["/bin/sh", "-c", "echo '{\"id\": \"1\"}' | exec \"$0\" invoke consumer --event -", project.tool],
            environment: ["TAPROOM_STATE": instance.state])
        #expect(invoked.output == "{\"id\": \"1\"}\n", "\(invoked.errors)")

        let before = try broker()
        #expect(try up().contains("Declaring queues"))
        #expect(try broker() == before, "up restarted it")
        #expect(project.environment(of: "consumer") == nil, "up restarted the consumer")
        try aRefusedReleaseLeavesTheOneThatRuns()
        try aStartCutShortIsContinued()
        try whatRunsWaitsForTheBrokerByItself()
        kill(before.pid, SIGKILL)
        // While its queues come back the node says that they are empty.
        try Eventually.happens("the node comes back with the event", within: 120) {
            (try? depths("shop.paid")) == ["shop.paid": 1]
        }
        try project.write(queue: "shop.paid", routingKey: "invoice.*")
        _ = try up()
        #expect(try publish("order.paid") == [.unroutable])
        #expect(try publish("invoice.paid") == [.confirmed])

        let config = try project.folder.read("config.json")
        let old = try #require(URLComponents(string: instance.report().rabbitmq ?? "")?.password)
        try project.folder.write("config.json", config.replacingOccurrences(of: old, with: "p ä/:@%"))
        try project.write(queue: "shop.bought")
        let letGo = "  shop.paid takes no more events by invoice.* of shop.events: no function names it\n"
        #expect(try up().contains(letGo))
        try Eventually.happens("the events that waited are there") {
            try depths("shop.bought", "shop.paid") == ["shop.bought": 0, "shop.paid": 2]
        }
        try Eventually.happens("the consumer is told") {
            project.environment(of: "consumer")?["AMQP_URL"]?.contains("p%20%C3%A4%2F%3A%40%25@") == true
        }
        #expect(try publish("invoice.paid") == [.unroutable], "a queue that nobody names goes on collecting")
        let doctor = try instance.run("doctor")
        #expect(doctor.output.contains("ok     RabbitMQ"))
        #expect(
            doctor.output.contains("no function names them any more: shop.paid (2 events), shop.paid.dead (0 events)"))
        try formerQueuesGo()
        #expect(try instance.run("logs", "rabbitmq", "--lines", "1000").output.contains("RabbitMQ 3."))

        try outsideBroker(url: try #require(instance.report().rabbitmq))
        try fromBeforeTheBroker()

        let down = try instance.run("down")
        #expect(down.status == 0, "\(down.errors)")
        #expect(try Orphans(placement: record().placement).find().isEmpty)
        #expect(try Ports.isFree(#require(record().brokerPort)))
    }

    private func processesHaveWhatTheyNeed() throws {
        let url = try #require(instance.report().rabbitmq)
        var environment: [String: String] = [:]
        try Eventually.happens("the consumer runs") {
            environment = project.environment(of: "consumer") ?? [:]
            return !environment.isEmpty
        }
        #expect(environment["AMQP_URL"] == url)
        #expect(environment["TAPROOM_QUEUE"] == "shop.paid" && environment["TAPROOM_RETRY"] == "5,120")
        try Eventually.happens("the relay runs") {
            environment = project.environment(of: "relay") ?? [:]
            return !environment.isEmpty
        }
        let signal = try #require(environment["OUTBOX_SIGNAL"])
        var (pipe, folder) = (stat(), stat())
        #expect(stat(signal, &pipe) == 0 && pipe.st_mode & S_IFMT == S_IFIFO && pipe.st_mode & 0o777 == 0o660)
        #expect(try stat(record().placement.functionSockets, &folder) == 0 && folder.st_uid == geteuid())
        #expect(try pipe.st_uid == Accounts.current().server?.uid ?? geteuid())
        let kinds = try instance.report().functions.map { "\($0.name) \($0.kind) \($0.state) \($0.pids.count)" }
        #expect(kinds == ["ready http running 1", "consumer rabbitmq running 1", "relay outbox running 1"])
        let invoked = try instance.run("invoke", "relay", "--event", "/dev/null")
        #expect(invoked.status == 1 && invoked.errors.contains("relay takes no event"), "\(invoked)")
    }

    /// An unknown parameter, a migration that fails: nothing of the release is there.
    private func aRefusedReleaseLeavesTheOneThatRuns() throws {
        let (record, pids) = (try record(), try instance.report().functions.map(\.pids))
        let (functions, probe) = (
            try project.folder.read("functions.yml"), try project.folder.read("bin/ProbeFunction")
        )
        func write(probe: String) throws {
            try project.folder.write("bin/ProbeFunction", probe)
            chmod(project.folder.path + "/bin/ProbeFunction", 0o755)
        }
        let more =
            "  more: {handler: Shop/Livez, environment: {A: '${param:PARAMETER}'}, events: [{httpApi: GET /more}]}"
        let migration = "migrations/shop/123456789abc_wrong.sql"
        try write(probe: probe.replacing("sleep 600", with: "sleep 601"))
        for (parameter, file, why) in [
            ("databases.shops", nil, #"unknown parameter "databases.shops"; the nearest is "databases.shop""#),
            ("databases.shop", migration, "syntax error"),
        ] {
            try project.write(queue: "shop.paid", more: more.replacing("PARAMETER", with: parameter))
            if let file { try project.folder.write(file, Self.wrongMigration) }
            let refused = try instance.run("up")
            #expect(refused.status == 1 && refused.errors.contains(why), "\(refused)")
            if let file { try project.folder.remove(file) }
            try project.folder.write("functions.yml", functions)
            #expect(try self.record() == record)
            #expect(try instance.report().functions.map(\.pids) == pids)
            #expect(try !instance.folder.read("state/bin/ProbeFunction").contains("601"))
            #expect(instance.gateway.get("/more")?.status == 404)
        }
        try write(probe: probe)
    }

    static let wrongMigration = """
        -- revision: 123456789abc
        -- down revision: 0123456789ab
        -- message: wrong

        -- migrate: up

        CREATE TABL x ();

        -- migrate: down

        DROP TABLE x;

        """

    /// nginx gets the new route although a start before was killed over the same functions.yml.
    private func aStartCutShortIsContinued() throws {
        try project.write(queue: "shop.paid", more: "  more: {handler: Shop/Livez, events: [{httpApi: GET /more}]}")
        let configuration = try record().placement.supervisorConfiguration
        var file = stat()
        #expect(stat(configuration, &file) == 0)
        let old = file.st_ino
        let child = try instance.start("up")
        try Eventually.happens("it starts the functions", within: 120) {
            try #require(child.end == nil, "\(child.lines)")
            return stat(configuration, &file) == 0 && file.st_ino != old
        }
        kill(child.pid, SIGKILL)
        _ = try child.waitForEnd()
        _ = try up()
        #expect(instance.gateway.get("/more")?.status == 200)
        try project.write(queue: "shop.paid")
        _ = try up()
        #expect(instance.gateway.get("/more")?.status == 404)
    }

    /// An `up` that does not reach the broker stops neither relay nor consumer.
    private func whatRunsWaitsForTheBrokerByItself() throws {
        func workers() throws -> [[Int]] {
            try instance.report().functions.filter { ["rabbitmq", "outbox"].contains($0.kind) }.map(\.pids)
        }
        let before = try workers()
        var file = stat()
        let configuration = try record().placement.supervisorConfiguration
        #expect(stat(configuration, &file) == 0)
        let (old, pid) = (file.st_ino, try broker().pid)
        kill(pid, SIGSTOP)
        defer { kill(pid, SIGCONT) }
        let child = try instance.start("up")
        try Eventually.happens("it goes on without the broker", within: 120) {
            try #require(child.end == nil, "\(child.lines)")
            return stat(configuration, &file) == 0 && file.st_ino != old
        }
        kill(pid, SIGCONT)
        #expect(try child.waitForEnd() == .exited(0))
        #expect(try workers() == before)
    }

    /// One port on the loopback address; nobody gets in without the password; no user but the node's reads its home.
    private func nodeIsPrivate() throws {
        let port = try #require(record().brokerPort)
        let expected = ["0100007F:" + String(port, radix: 16, uppercase: true)]
        let pid = try broker().pid
        // The kernel may leave rows out of a table that changes while it is read.
        try Eventually.happens("it listens at \(expected) and nowhere else") { try listening(pid) == expected }
        for login in ["guest:guest", "taproom:wrong"] {
            #expect(throws: BrokerError.self) { try depths(url: "amqp://\(login)@127.0.0.1:\(port)/") }
        }
        var status = stat()
        #expect(try stat(record().placement.brokerHome, &status) == 0 && status.st_mode & 0o777 == 0o700)
        let secret = try #require(URLComponents(string: instance.report().rabbitmq ?? "")?.password)
        #expect(try !broker().command.contains { $0.contains(secret) })
    }

    /// Local addresses at which a process takes connections, as the kernel writes them.
    func listening(_ pid: pid_t) throws -> [String] {
        let sockets = try Subprocess.run([
            "/bin/sh", "-c", "ls -l /proc/\(pid)/fd | sed -n 's/.*socket:.\\([0-9]*\\).*/\\1/p'",
        ])
        let own = Set(sockets.output.split(separator: "\n"))
        var addresses: [String] = []
        for file in ["tcp", "tcp6"] {
            let table = try KernelFile.text("/proc/net/\(file)")
            for line in table.split(separator: "\n") {
                let fields = line.split(separator: " ")
                guard fields.count > 9, fields[3] == "0A", own.contains(fields[9]) else { continue }
                addresses.append(String(fields[1]))
            }
        }
        return addresses
    }

    /// The broker refuses a queue whose arguments differ from those that it has.
    private func renderedQueuesAreTheDeclaredOnes() throws {
        let session = try Session(BrokerAddress(instance.report().rabbitmq ?? ""), name: "test", deadline: .soon)
        for queue in try Manifest.load(from: project.folder.path + "/functions.yml").topology.queues {
            try session.declareQueue(queue, deadline: .soon)
        }
    }

    private func statusCounts() throws {
        let session = try Connection(
            url: try #require(instance.report().databases["shop"]), application: "test", deadline: .soon)
        try session.run(
            script: """
                INSERT INTO outbox (state, occurred_at) VALUES ('sent', now()), ('unroutable', now()),
                    ('waiting', now() - interval '90 seconds'), ('waiting', now())
                """, deadline: .soon)
        let report = try instance.report()
        let outbox = try #require(report.outboxes.first)
        #expect(outbox.service == "shop" && outbox.waiting == 2 && outbox.unroutable == 1)
        #expect(try #require(outbox.oldestSeconds) >= 90)
        let queue = try #require(report.queues.first)
        #expect(queue.queue == "shop.paid" && queue.function == "consumer")
        #expect(queue.waiting == 1 && queue.retrying == 0 && queue.dead == 0)
        let text = try instance.run("status").output
        #expect(text.contains("outbox   shop: 2 waiting, the oldest for "))
        #expect(text.contains("queue    shop.paid: 1 waiting, 0 retrying, 0 dead letters"))
    }

    /// A second instance that is configured with the first one's broker: it gets its queues there and starts none.
}
