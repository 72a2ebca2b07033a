import Foundation
import Postgres
import Runtime
import TestSupport
import Testing

@testable import Messaging

extension MessagingTests {
    /// `taproom dlq`, as an operator types it.
    @Suite struct DeadLetterCommandTests {
        /// A project whose only function is the lab's consumer, after one whose queue is not there.
        private struct Operator {
            let lab: Lab
            let tool: Program
            let project: TemporaryFolder

            /// - Parameter absent: whose dead letters are those of the queue that is not there; default none.
            init(_ lab: Lab, absent: Lab? = nil) throws {
                self.lab = lab
                tool = try Program("taproom", [:])
                project = try TemporaryFolder()
                try project.write("model_config.json", "{}")
                try StartedInstance(state: project.path, rabbitmq: Lab.broker.url).write()
                let other =
                    absent.map {
                        """
                          absent:
                            handler: Test/Absent
                            description: Does not run
                            events:
                              - rabbitmq:
                                  queue: \($0.number).absent
                                  exchange: \($0.topology.exchange)
                                  routingKey: ledger.#
                                  deadLetter: \($0.topology.deadLetter)

                        """
                    } ?? ""
                try project.write(
                    "functions.yml",
                    """
                    service: test
                    provider: {name: taproom, runtime: swift}
                    functions:
                    \(other)  ledger:
                        handler: Test/Ledger
                        description: Keeps the ledger
                        events:
                          - rabbitmq:
                              queue: \(lab.topology.queue)
                              exchange: \(lab.topology.exchange)
                              routingKey: ledger.#
                              retry: [1s]

                    """)
            }

            func dlq(_ arguments: String...) throws -> TestProcess {
                try TestProcess.run(
                    tool.path, ["dlq"] + arguments, environment: ["TAPROOM_STATE": project.path], folder: project.path)
            }

            /// Puts an event among the dead letters.
            func giveUp(_ id: String, in queue: String, error: String = "x") throws {
                let session = try Session(lab.address, name: "test", deadline: .soon)
                var message = Message(messageID: id, body: Array("{}".utf8))
                message.headers["taproom-error"] = .text(error)
                try Publisher(session, deadline: .soon).send(message, to: queue)
            }

            func ids() throws -> [String] {
                try TestJSON(parsing: dlq("list", "--json").output).elements.compactMap { $0["id"]?.string }
            }
        }

        @Test func showsRedrivesAndDiscards() throws {
            let lab = try Lab(retry: [1])
            let person = try Operator(lab)
            #expect(try person.dlq("list").output == "No dead letters.\n")
            let processes = try lab.makeDeadLetters(3)
            defer { for process in processes { process.terminate() } }
            let ids = try person.ids()
            #expect(ids.count == 3)
            let shown = try person.dlq("show", ids[0])
            #expect(shown.output.contains("takes no such entry") && shown.output.contains(#"{"mode":"give-up"}"#))
            #expect(try person.dlq("list", "--queue", "ledger").output.contains(ids[2]))
            let missing = try person.dlq("redrive", "nothing")
            #expect(missing.status == 1 && missing.errors.contains("nothing"))
            #expect(try person.dlq("redrive").status == 64)
            #expect(try person.dlq("discard", ids[0]).status == 64)
            #expect(try person.dlq("list", "--queue", "other").errors.contains(lab.topology.queue))

            #expect(try person.dlq("discard", ids[0], "--who", "me", "--why", "a test").status == 0)
            let record = try TestJSON(parsing: person.project.read("discarded-events.jsonl"))
            #expect(record["letter"]?["id"]?.string == ids[0] && record["why"]?.string == "a test")
            try lab.mend()
            #expect(try person.dlq("redrive", "--all").status == 0)
            try Eventually.happens("two effects") { try lab.effects() == 2 }
            #expect(try person.ids().isEmpty)
        }

        @Test("a record that finds no room is taken back whole, and what was removed before is said")
        func noRoomForTheRecord() throws {
            let lab = try Lab(retry: [1])
            let person = try Operator(lab)
            let processes = try lab.makeDeadLetters(3)
            defer { for process in processes { process.terminate() } }
            let ids = try person.ids()
            #expect(try person.dlq("discard", ids[0], "--why", " ").errors.contains("--why must not be empty"))
            #expect(try person.dlq("discard", ids[0], "--why", "x").status == 0)
            // Room for one record and a half, before the end of 64 blocks of 512 bytes.
            let file = "discarded-events.jsonl"
            let room = try person.project.read(file).utf8.count * 3 / 2
            try person.project.write(file, String(repeating: "\n", count: 64 * 512 - room))
            let cut = try TestProcess.run(
                "/bin/sh",
                ["-c", #"trap '' XFSZ; ulimit -f 64; exec "$0" dlq discard --all --why x"#, person.tool.path],
                environment: ["TAPROOM_STATE": person.project.path], folder: person.project.path)
            #expect(cut.status == 1)
            #expect(cut.output.hasPrefix("discarded \(ids[1]) ") && !cut.output.contains(ids[2]), "\(cut.output)")
            #expect(cut.errors.contains("\(ids[2]) and those after it were not removed"), "\(cut.errors)")
            let text = try person.project.read(file)
            #expect(text.hasSuffix("}\n"))
            #expect(try TestJSON(parsing: text)["letter"]?["id"]?.string == ids[1])
            try Eventually.happens("the other to be there again") { try person.ids() == [ids[2]] }
        }

        @Test("what cannot be redriven is named, and the others are redriven")
        func letterThatStays() throws {
            let (absent, lab) = (try Lab(), try Lab())
            let person = try Operator(lab, absent: absent)
            for (id, queue) in [("stuck", absent.topology.deadLetter), ("moved", lab.topology.deadLetter)] {
                try person.giveUp(id, in: queue)
            }
            let redriven = try person.dlq("redrive", "--all")
            #expect(redriven.status == 1 && redriven.output.contains("redriven moved "), "\(redriven)")
            #expect(redriven.errors.contains("stuck (") && !redriven.errors.contains("moved"), "\(redriven)")
            #expect(try person.ids() == ["stuck"])
        }

        @Test func onlyTheLetterWithTheBytesOfTheIDIsShown() throws {
            let person = try Operator(Lab())
            for id in ["\u{E9}", "e\u{301}"] { try person.giveUp(id, in: person.lab.topology.deadLetter) }
            let shown = try TestJSON(parsing: person.dlq("show", "e\u{301}", "--json").output).elements
            #expect(shown.compactMap { $0["id"]?.string }.map { Array($0.utf8) } == [Array("e\u{301}".utf8)])
        }

        @Test func aReasonOfOneHugeCharacterDoesNotFillTheList() throws {
            let person = try Operator(Lab())
            let error = "e" + String(repeating: "\u{301}", count: 50_000)
            try person.giveUp("e", in: person.lab.topology.deadLetter, error: error)
            #expect(try person.dlq("list").output.utf8.count < 2000)
        }

        @Test func aRedriveThatIsKilledMidwayLosesNothing() throws {
            let lab = try Lab(retry: [1])
            let person = try Operator(lab)
            let processes = try lab.makeDeadLetters(4)
            defer { for process in processes { process.terminate() } }
            try lab.mend()
            try person.tool.kill(at: "redrive.before-acknowledge")
            #expect(try person.dlq("redrive", "--all").status == 128 + SIGKILL)
            // The first is on its way and still here, the others are here.
            try lab.waitForDeadLetters(4)
            try Eventually.happens("one effect") { try lab.effects() == 1 }
            try person.tool.go()
            #expect(try person.dlq("redrive", "--all").status == 0)
            try lab.audit()
            #expect(try person.ids().isEmpty)
        }
    }
}
