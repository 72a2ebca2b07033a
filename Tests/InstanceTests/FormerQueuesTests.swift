import Foundation
import Manifest
import TestSupport
import Testing

@testable import Instance
@testable import Messaging

/// What becomes of queues that functions.yml names no more, before a start has replaced who consumed them and after.
@Suite(.serialized) struct FormerQueuesTests {
    private let project: EventProject
    private let instance: TestInstance
    private let address: BrokerAddress
    private static let former = ["old.paid", "old.paid.dead", "old.paid.retry.2m", "old.paid.retry.5s"]

    /// As a start leaves it that declared the queues of `old.paid`; the renamed consumer takes other events.
    init() throws {
        project = try EventProject()
        instance = try TestInstance(folder: project.folder, tool: project.tool)
        let url = RabbitMQServer.shared.url
        address = try BrokerAddress(url)
        for queue in Self.former { _ = try ConsumerTopology.delete(queue, at: address, deadline: .soon) }
        try StartedInstance(state: instance.state, rabbitmq: url).write()
        try instance.supervise(["ready": "/bin/sleep 600"])
        try project.write(queue: "old.paid")
        try queues().declare()
        try queues().unbindFormer(Progress())
        try project.write(queue: "here.paid", routingKey: "invoice.*")
    }

    private func queues() throws -> BrokerQueues {
        let record = try #require(try InstanceRecord.load(state: instance.state))
        return try BrokerQueues(
            instance: Instance(record: record, manifest: .load(from: project.folder.path + "/functions.yml")))
    }

    private func finishStart() throws {
        try queues().declare()
        try queues().unbindFormer(Progress())
    }

    private func left() throws -> [String] {
        try queues().counts(Self.former).filter { $0.value != nil }.keys.sorted()
    }

    private func publish(_ type: String) throws -> Publisher.Outcome {
        let session = try Session(address, name: "test", deadline: .soon)
        let parcel = Parcel(
            message: Message(messageID: type, body: Array("{}".utf8)), exchange: "shop.events", routingKey: type)
        return try Publisher(session, deadline: .soon).publish([parcel], deadline: .soon)[0]
    }

    private func expectInUse(_ queues: [String] = Self.former) throws {
        let refused = try instance.run(["queues", "delete", "--discard"] + queues)
        let why =
            "what runs may still work with \(queues.joined(separator: ", ")): run taproom up --scope local first; "
            + "when an earlier release elsewhere consumes one, end that before"
        #expect(refused.status == 1 && refused.errors.contains(why), "\(refused)")
        #expect(try left() == Self.former)
        let doctor = try instance.run("doctor").output
        #expect(doctor.contains("no function names them any more: \(queues[0]) (0 events)"), "\(doctor)")
        #expect(doctor.contains("fix: make up; when an earlier release elsewhere consumes one, end"), "\(doctor)")
        #expect(!doctor.contains("queues delete"), "\(doctor)")
    }

    @Test("while their consumers may run nobody deletes them, and doctor says how they are let go")
    func inUse() throws {
        // As an earlier release remembers them.
        let path = "\(instance.state)/queues.json"
        var root = try #require(
            try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: path))) as? [String: Any])
        root["inUse"] = nil
        try JSONSerialization.data(withJSONObject: root).write(to: URL(filePath: path))
        try expectInUse()
        // A start that has come no further.
        try queues().declare()
        try expectInUse()

        // One that has, while somebody elsewhere consumes.
        let session = try Session(address, name: "test", deadline: .soon)
        try session.consume("old.paid", tag: "test", prefetch: 1, deadline: .soon)
        try Eventually.happens("the broker counts the consumer") {
            try queues().counts(["old.paid"])["old.paid"]??.consumers == 1
        }
        try finishStart()
        #expect(try publish("order.paid") == .confirmed, "it has lost its binding")
        _ = try #require(try session.next(deadline: .soon))
        try expectInUse()
        session.close()
        try Eventually.happens("the broker misses the consumer") {
            try queues().counts(["old.paid"])["old.paid"]??.consumers == 0
        }
        try finishStart()
        #expect(try publish("order.paid") == .unroutable)
        #expect(try instance.run("queues", "delete", "--discard", "old.paid.dead").status == 0)
    }

    /// The consumer that runs goes on publishing what fails there.
    @Test("a retry queue that goes from functions.yml is in use until the consumer was replaced") func retry() throws {
        let queue = "old.paid.retry.5s"
        try project.write(queue: "old.paid")
        let functions = try project.folder.read("functions.yml")
        try project.folder.write("functions.yml", functions.replacing("retry: [5s, 2m]", with: "retry: [2m]"))
        try expectInUse([queue])
        try finishStart()
        #expect(try instance.run("queues", "delete", "--discard", queue).status == 0)
    }

    @Test("they are deleted by an operator's word alone, whatever the broker counts, and all or none")
    func delete() throws {
        try finishStart()
        func expectRefusal(_ arguments: [String], _ why: String) throws {
            let refused = try instance.run(["queues", "delete"] + arguments)
            #expect(refused.status == 1 && refused.errors.contains(why), "\(refused)")
            #expect(try left() == Self.former)
        }
        let doctor = try instance.run("doctor").output
        let command = "taproom queues delete \(Self.former.joined(separator: " "))"
        #expect(doctor.contains("fix: \(command), with --discard once the events in them may go\n"), "\(doctor)")
        for empty in [[Self.former[1]], Self.former] {
            let lines = empty.reversed().map { "  \($0): 0 events" }.joined(separator: "\n")
            try expectRefusal(
                empty,
                "--discard deletes these queues with all events in them; without it none is deleted, for the "
                    + "broker's last count may lag behind:\n\(lines)\n")
        }
        let discarding = ["--discard"] + Self.former
        try expectRefusal(discarding + ["here.paid"], "here.paid is no queue at the broker that functions.yml named")
        try expectRefusal(
            discarding.dropLast(), "events may come back to old.paid from old.paid.retry.5s: delete those as well")
        let session = try Session(address, name: "test", deadline: .soon)
        try session.consume("old.paid.dead", tag: "test", prefetch: 1, deadline: .soon)
        try Eventually.happens("the broker counts the consumer") {
            try queues().counts(["old.paid.dead"])["old.paid.dead"]??.consumers == 1
        }
        try expectRefusal(discarding, "somebody takes events from old.paid.dead")
        session.close()
        try Eventually.happens("the broker misses the consumer") {
            try queues().counts(["old.paid.dead"])["old.paid.dead"]??.consumers == 0
        }
        let deleted = try instance.run(["queues", "delete"] + discarding)
        let said = Self.former.reversed().map { "deleted \($0): the broker counted 0 events in it\n" }
        #expect(deleted.output == said.joined(), "\(deleted)")
        #expect(try left().isEmpty)
        #expect(try instance.run("doctor").output.contains("ok     queues of former functions"))
    }
}
