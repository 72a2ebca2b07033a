import Foundation
import Glibc
import Manifest
import Postgres
import Runtime
import Testing

import enum TestSupport.Eventually
import enum TestSupport.Loopback
import class TestSupport.PostgresServer
import class TestSupport.TemporaryFolder

@testable import Instance
@testable import Messaging

/// The real RabbitMQ under the real supervisord, started by the tool itself, with a consumer and a relay beside it.
@Suite(.serialized)
struct BrokerCycleTests {
    private let project: EventProject
    private let instance: TestInstance

    init() throws {
        project = try EventProject()
        instance = try TestInstance(folder: project.folder, tool: project.tool)
    }

    private func up(_ instance: TestInstance? = nil, variables: [String: String] = [:]) throws -> String {
        let run = try (instance ?? self.instance).run("up", variables: variables)
        try #require(run.status == 0, "\(run.output)\(run.errors)")
        return run.output
    }

    private func record() throws -> InstanceRecord { try #require(try InstanceRecord.load(state: instance.state)) }

    private func broker() throws -> RunningProcess {
        let process = try Instance(record: record(), manifest: .load(from: project.folder.path + "/functions.yml"))
            .processes().first { $0.group == "rabbitmq" }
        return try #require(process?.pid.flatMap { RunningProcess(pid: pid_t($0)) })
    }

    private func depths(_ queues: String..., url: String? = nil) throws -> [String: Int?] {
        let address = try BrokerAddress(url ?? instance.report().rabbitmq ?? "")
        return try QueueCounts.of(queues, at: address, deadline: .after(milliseconds: 20_000)).mapValues {
            $0?.messages
        }
    }

    /// What becomes of an event of each type.
    private func publish(_ types: String...) throws -> [Publisher.Outcome] {
        let limit = Deadline.after(milliseconds: 20_000)
        let session = try Session(BrokerAddress(instance.report().rabbitmq ?? ""), name: "test", deadline: limit)
        return try types.map { type in
            let message = Message(messageID: type, body: Array("{}".utf8))
            return try Publisher(session, deadline: limit).publish(
                [Parcel(message: message, exchange: "shop.events", routingKey: type)], deadline: limit)[0]
        }
    }

    @Test func `up, a crash, another password, a queue that goes, an outside broker, down`() throws {
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
        _ = try up()
        try Eventually.happens("the events that waited are there") {
            try depths("shop.bought", "shop.paid") == ["shop.bought": 0, "shop.paid": 2]
        }
        try Eventually.happens("the consumer is told") {
            project.environment(of: "consumer")?["AMQP_URL"]?.contains("p%20%C3%A4%2F%3A%40%25@") == true
        }
        let doctor = try instance.run("doctor")
        #expect(doctor.output.contains("ok     RabbitMQ"))
        #expect(
            doctor.output.contains("no function names them any more: shop.paid (2 events), shop.paid.dead (0 events)"))
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
        #expect(stat((signal as NSString).deletingLastPathComponent, &folder) == 0 && folder.st_uid == pipe.st_uid)
        let kinds = try instance.report().functions.map { "\($0.name) \($0.kind) \($0.state) \($0.pids.count)" }
        #expect(kinds == ["ready http running 1", "consumer rabbitmq running 1", "relay outbox running 1"])
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

    private static let wrongMigration = """
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
    private func listening(_ pid: pid_t) throws -> [String] {
        let sockets = try Subprocess.run([
            "/bin/sh", "-c", "ls -l /proc/\(pid)/fd | sed -n 's/.*socket:.\\([0-9]*\\).*/\\1/p'",
        ])
        let own = Set(sockets.output.split(separator: "\n"))
        var addresses: [String] = []
        for file in ["tcp", "tcp6"] {
            let table = try String(contentsOfFile: "/proc/net/\(file)", encoding: .utf8)
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
        let limit = Deadline.after(milliseconds: 20_000)
        let session = try Session(BrokerAddress(instance.report().rabbitmq ?? ""), name: "test", deadline: limit)
        for queue in try Manifest.load(from: project.folder.path + "/functions.yml").topology.queues {
            try session.declareQueue(queue, deadline: limit)
        }
    }

    private func statusCounts() throws {
        let limit = Deadline.after(milliseconds: 20_000)
        let session = try Connection(
            url: try #require(instance.report().databases["shop"]), application: "test", deadline: limit)
        try session.run(
            script: """
                INSERT INTO outbox (state, occurred_at) VALUES ('sent', now()), ('unroutable', now()),
                    ('waiting', now() - interval '90 seconds'), ('waiting', now())
                """, deadline: limit)
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
    private func outsideBroker(url: String) throws {
        let other = try EventProject()
        try other.write(queue: "other.paid")
        let guest = try TestInstance(folder: other.folder, tool: other.tool)
        _ = try up(guest, variables: ["TAPROOM_RABBITMQ_URL": url])
        #expect(try depths("other.paid", url: url) == ["other.paid": 0])
        #expect(try guest.report().rabbitmq == url)
        let record = try #require(try InstanceRecord.load(state: guest.state))
        #expect(record.brokerPort == nil && !FileManager.default.fileExists(atPath: record.placement.broker))
        var database = try #require(URLComponents(string: instance.report().databases["shop"] ?? ""))
        let password = try #require(database.password)
        database.password = nil
        database.queryItems = [("password", password), ("application_name", "shop")].map(URLQueryItem.init)
        let output = try up(
            guest, variables: ["TAPROOM_RABBITMQ_URL": url, "TAPROOM_DATABASES_SHOP": try #require(database.string)])
        #expect(!output.contains(password) && output.contains("/shop?application_name=shop\n"))
        try whatIsNotReadyOutsideLeavesAllAsItIs(guest, other, url)
        #expect(try guest.run("clean-state").status == 0)
        #expect(try depths("other.paid", url: url) == ["other.paid": 0])
    }

    /// At another broker a relay would find no queues, and a database that is behind is not what the next release needs.
    private func whatIsNotReadyOutsideLeavesAllAsItIs(
        _ guest: TestInstance, _ project: EventProject, _ url: String
    ) throws {
        let record = try InstanceRecord.load(state: guest.state)
        let pids = try guest.report().functions.map(\.pids)
        try project.folder.write("bin/ProbeFunction", "#!/bin/sh\nexec sleep 601\n")
        chmod(project.folder.path + "/bin/ProbeFunction", 0o755)
        let absent = "amqp://shop:secret@127.0.0.1:\(try Loopback.freePort())"
        for (variables, why) in [
            (["TAPROOM_RABBITMQ_URL": absent], "127.0.0.1"),
            (
                ["TAPROOM_RABBITMQ_URL": url, "TAPROOM_DATABASES_SHOP": try PostgresServer.shared.freshDatabase()],
                "is not at the last migration: run taproom migrate"
            ),
            (["TAPROOM_RABBITMQ_URL": url, "TAPROOM_DATABASES_SHOP": try latinDatabase()], "encoding is LATIN1"),
        ] {
            let refused = try guest.run("up", variables: variables)
            #expect(refused.status == 1 && refused.errors.contains(why), "\(refused)")
            #expect(try InstanceRecord.load(state: guest.state) == record)
            #expect(try guest.report().functions.map(\.pids) == pids)
            #expect(try !guest.folder.read("state/bin/ProbeFunction").contains("601"))
        }
    }

    private func latinDatabase() throws -> String {
        let name = "latin_\(UInt32.random(in: 0...(.max)))"
        try PostgresServer.shared.connect(to: PostgresServer.shared.url("postgres")).run(
            script: "CREATE DATABASE \(name) ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
            deadline: .after(milliseconds: 10_000))
        return PostgresServer.shared.url(name)
    }

    @Test func `a state folder that was moved starts where it is, with all that is in it`() throws {
        let moved = try TestInstance(folder: TemporaryFolder(), tool: project.tool)
        func move(_ old: TestInstance, _ new: TestInstance) {
            for name in ["state", "config.json"] {
                #expect(rename("\(old.folder.path)/\(name)", "\(new.folder.path)/\(name)") == 0)
            }
        }
        _ = try up()
        #expect(try publish("order.paid") == [.confirmed])
        let insert = "INSERT INTO outbox (state) VALUES ('waiting')"
        let database = try #require(instance.report().databases["shop"])
        try PostgresServer.shared.connect(to: database).run(script: insert, deadline: .after(milliseconds: 10_000))
        let supervisor = try #require(Supervisor(placement: record().placement).process)
        // Nobody finds it any more when a move back fails.
        defer { if supervisor.isAlive { kill(supervisor.pid, SIGTERM) } }
        move(instance, moved)
        let running = try moved.run("up")
        #expect(running.status == 1 && running.errors.contains("what was started in \(instance.state) still runs"))
        move(moved, instance)
        #expect(try instance.run("down").status == 0)
        move(instance, moved)
        _ = try up(moved)
        let report = try moved.report()
        #expect(report.state == moved.state && report.outboxes.first?.waiting == 1, "\(report)")
        try Eventually.happens("the event that waited is there") {
            try depths("shop.paid", url: report.rabbitmq) == ["shop.paid": 1]
        }
        #expect(!FileManager.default.fileExists(atPath: instance.state))
        #expect(try moved.run("clean-state").status == 0)
    }

    @Test func `a database outside may be ahead when it has had this checkout's migration`() throws {
        // So that it goes no further than it must here.
        try project.folder.remove("bin/ProbeFunction")
        let url = try PostgresServer.shared.freshDatabase()
        let session = try PostgresServer.shared.connect(to: url)
        let limit = Deadline.after(milliseconds: 10_000)
        try session.run(
            script: """
                CREATE TABLE alembic_version (version_num varchar(32));
                INSERT INTO alembic_version VALUES ('ffffffffffff');
                """, deadline: limit)
        let variables = ["TAPROOM_DATABASES_SHOP": url, "TAPROOM_RABBITMQ_URL": ""]
        #expect(
            try instance.run("up", variables: variables).errors.contains("ahead of the migrations of this checkout"))
        try session.run(
            script: """
                CREATE TABLE taproom_migration (revision varchar(32), applied_at timestamptz DEFAULT now());
                INSERT INTO taproom_migration VALUES ('0123456789ab'), ('ffffffffffff');
                """, deadline: limit)
        #expect(try instance.run("up", variables: variables).errors.contains("not built: ProbeFunction"))
    }

    /// What an earlier version left: no broker, no word of it in the configuration or the record, and rows.
    private func fromBeforeTheBroker() throws {
        #expect(try instance.run("down").status == 0)
        let placement = try record().placement
        try FileManager.default.removeItem(atPath: placement.broker)
        try FileManager.default.removeItem(atPath: placement.declaredQueues)
        for (file, keys) in [("config.json", ["rabbitmq"]), ("state/instance.json", ["rabbitmq", "brokerPort"])] {
            let path = "\(project.folder.path)/\(file)"
            var root = try #require(
                try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: path))) as? [String: Any])
            for key in keys { root[key] = nil }
            if var passwords = root["embedded_passwords"] as? [String: Any] {
                passwords["rabbitmq"] = nil
                root["embedded_passwords"] = passwords
            }
            try JSONSerialization.data(withJSONObject: root).write(to: URL(filePath: path))
        }
        #expect(try instance.report().rabbitmq == nil)
        #expect(
            try up().contains("added to \(project.folder.path)/config.json: embedded_passwords.rabbitmq, rabbitmq.url"))
        #expect(try depths("shop.bought") == ["shop.bought": 0])
        #expect(try instance.report().outboxes.first?.waiting == 2)
    }
}
