import Foundation
import Manifest
import Postgres
import TestSupport
import Testing

@testable import Instance
@testable import Messaging

/// `taproom doctor` on events that go nowhere although everything runs.
@Suite struct EventDiagnosisTests {
    @Test("a queue without consumer, an outbox that only grows, a broker that takes nothing")
    func stuckEvents() throws {
        let project = try EventProject()
        let instance = try TestInstance(folder: project.folder, tool: project.tool)
        let broker = try RabbitMQServer()
        let database = try PostgresServer.shared.freshDatabase()
        try StartedInstance(state: instance.state, rabbitmq: broker.url, databases: ["shop": database]).write()
        let sleep = "/bin/sleep 600"
        try instance.supervise(["ready": sleep, "consumer": sleep, "relay": sleep])
        let address = try BrokerAddress(broker.url)
        let manifest = try Manifest.load(from: project.folder.path + "/functions.yml")
        for topology in manifest.functions.compactMap(\.queue?.topology) {
            try topology.declare(at: address, deadline: .soon)
        }
        let shop = try PostgresServer.shared.connect(to: database)
        try shop.run(
            script: """
                CREATE TABLE outbox (state text, occurred_at timestamptz);
                INSERT INTO outbox VALUES ('waiting', now() - interval '90000 seconds'), ('waiting', now());
                """, deadline: .soon)
        func doctor() throws -> String { try instance.run("doctor").output }

        let found = try doctor()
        #expect(found.contains("ok     RabbitMQ"), "\(found)")
        #expect(found.contains("shop.paid, although consumer runs\n       fix: taproom logs consumer\n"), "\(found)")
        #expect(found.contains("2 of shop, the oldest for 9"), "\(found)")
        #expect(found.contains("fix: taproom logs relay\n"), "\(found)")
        #expect(try instance.run("status").output.contains("0 dead letters, no consumer\n"))

        let session = try Session(address, name: "test", deadline: .soon)
        try session.consume("shop.paid", tag: "test", prefetch: 1, deadline: .soon)
        // Young for as long as the doctor may take.
        try shop.run(script: "UPDATE outbox SET occurred_at = now() + interval '1 hour'", deadline: .soon)
        let fine = try doctor()
        for check in ["RabbitMQ", "consumers", "outboxes"] { #expect(fine.contains("ok     \(check)\n"), "\(fine)") }
        #expect(try !instance.run("status").output.contains("no consumer"))
        session.close()
        try shop.run(script: "DROP TABLE outbox", deadline: .soon)
        let unread = try doctor()
        #expect(unread.contains("WRONG  outboxes\n       the outbox of shop cannot be read: "), "\(unread)")

        try broker.kill()
        let settings = broker.folder + "/rabbitmq.conf"
        let text = try String(contentsOfFile: settings, encoding: .utf8)
        try Data(text.replacing("limit.absolute = 50MB", with: "limit.absolute = 1000000GB").utf8)
            .write(to: URL(filePath: settings))
        try broker.start()
        let blocked = try doctor()
        #expect(blocked.contains("it takes no events at the moment: low on disk\n       fix: free"), "\(blocked)")
        _ = try instance.run("down")
    }
}
