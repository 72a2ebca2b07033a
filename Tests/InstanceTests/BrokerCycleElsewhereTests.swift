import Foundation
import Glibc
import Manifest
import Postgres
import Runtime
import TestSupport
import Testing

@testable import Instance
@testable import Messaging

/// Brokers and databases outside, a state folder that was moved, and one from before there was a broker.
extension BrokerCycleTests {
    /// As the doctor says.
    func formerQueuesGo() throws {
        let queues = ["shop.paid", "shop.paid.dead", "shop.paid.retry.2m", "shop.paid.retry.5s"]
        let doctor = try instance.run("doctor").output
        #expect(doctor.contains("fix: taproom queues delete \(queues.joined(separator: " ")), with --dis"), "\(doctor)")
        let discarded = try instance.run(["queues", "delete", "--discard"] + queues)
        #expect(discarded.output.contains("deleted shop.paid: the broker counted 2 events in it\n"), "\(discarded)")
        #expect(try depths("shop.paid", "shop.bought") == ["shop.paid": nil, "shop.bought": 0])
        #expect(try instance.run("doctor").output.contains("ok     queues of former functions"))
    }

    func outsideBroker(url: String) throws {
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
        let shop = try #require(database.string)
        let output = try up(guest, variables: ["TAPROOM_RABBITMQ_URL": url, "TAPROOM_DATABASES_SHOP": shop])
        #expect(!output.contains(password) && output.contains("/shop?application_name=shop\n"))
        try whatIsNotReadyOutsideLeavesAllAsItIs(guest, other, url, shop: shop)
        #expect(try guest.run("clean-state").status == 0)
        #expect(try depths("other.paid", url: url) == ["other.paid": 0])
    }

    /// At another broker a relay would find no queues, and a database that is behind is not what the next release needs.
    private func whatIsNotReadyOutsideLeavesAllAsItIs(
        _ guest: TestInstance, _ project: EventProject, _ url: String, shop: String
    ) throws {
        let record = try InstanceRecord.load(state: guest.state)
        let pids = try guest.report().functions.map(\.pids)
        try project.folder.write("bin/ProbeFunction", "#!/bin/sh\nexec sleep 601\n")
        chmod(project.folder.path + "/bin/ProbeFunction", 0o755)
        let absent = "amqp://shop:secret@127.0.0.1:\(try Loopback.freePort())"
        for (variables, why) in [
            (["TAPROOM_RABBITMQ_URL": absent, "TAPROOM_DATABASES_SHOP": shop], "127.0.0.1"),
            ([:], "--forget-outside"),
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
            script: "CREATE DATABASE \(name) ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0", deadline: .soon)
        return PostgresServer.shared.url(name)
    }

    @Test("a state folder that was moved starts where it is, with all that is in it") func movedFolder() throws {
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
        try PostgresServer.shared.connect(to: database).run(script: insert, deadline: .soon)
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

    @Test(
        "the broker starts in a folder of any name, with what it had there",
        arguments: ["Téléchargements", "#Загрузки"])
    func folderOfAnyName(name: String) throws {
        let instance = try TestInstance(folder: project.folder, tool: project.tool, name: name)
        for publishes in [true, false] {
            _ = try up(instance)
            let url = try #require(instance.report().rabbitmq)
            if publishes { #expect(try publish("order.paid", url: url) == [.confirmed]) }
            try Eventually.happens("the event is there") { try depths("shop.paid", url: url) == ["shop.paid": 1] }
            #expect(try instance.run("down").status == 0)
        }
    }

    @Test("a database outside may be ahead when it has had this checkout's migration") func databaseAhead() throws {
        // So that it goes no further than it must here.
        try project.folder.remove("bin/ProbeFunction")
        let url = try PostgresServer.shared.freshDatabase()
        let session = try PostgresServer.shared.connect(to: url)
        try session.run(
            script: """
                CREATE TABLE alembic_version (version_num varchar(32));
                INSERT INTO alembic_version VALUES ('ffffffffffff');
                """, deadline: .soon)
        let variables = ["TAPROOM_DATABASES_SHOP": url, "TAPROOM_RABBITMQ_URL": ""]
        #expect(
            try instance.run("up", variables: variables).errors.contains("ahead of the migrations of this checkout"))
        try session.run(
            script: """
                CREATE TABLE taproom_migration (revision varchar(32), applied_at timestamptz DEFAULT now());
                INSERT INTO taproom_migration VALUES ('0123456789ab'), ('ffffffffffff');
                """, deadline: .soon)
        #expect(try instance.run("up", variables: variables).errors.contains("not built: ProbeFunction"))
    }

    @Test("a database outside is migrated as up says, also beside an embedded one that never started")
    func databaseBehind() throws {
        // So that it goes no further than it must here.
        try project.folder.remove("bin/ProbeFunction")
        try project.folder.write(
            "migrations/bar/0123456789ac_bar.sql",
            """
            -- revision: 0123456789ac
            -- down revision: none
            -- message: bar

            -- migrate: up
            -- migrate: down

            """)
        let variables = ["TAPROOM_DATABASES_SHOP": try PostgresServer.shared.freshDatabase()]
        let refused = try instance.run("up", variables: variables).errors
        let command = try #require(refused.firstMatch(of: /: run taproom (.*), then run this command again/)?.1)
        let settings = variables.merging([
            "TAPROOM_STATE": instance.state, "TAPROOM_CONFIG": project.folder.path + "/config.json",
        ]) { $1 }
        let migrated = try Subprocess.run(
            ["/usr/bin/env", "--chdir=\(project.folder.path)", project.tool]
                + command.split(separator: " ").map(String.init), environment: settings)
        #expect(migrated.status == 0, "\(command): \(migrated)")
        #expect(try instance.run("up", variables: variables).errors.contains("not built: ProbeFunction"))
    }

    /// What an earlier version left: no broker, no word of it in the configuration or the record, and rows.
    func fromBeforeTheBroker() throws {
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
