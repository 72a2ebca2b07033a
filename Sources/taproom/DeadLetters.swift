import ArgumentParser
import Foundation
import Instance
import Manifest
import Messaging
import Runtime

struct DLQ: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dlq",
        abstract: "Shows the events that consumers have given up, sends them again or removes them.",
        subcommands: [DeadLettersList.self, DeadLettersShow.self, DeadLettersRedrive.self, DeadLettersDiscard.self])
}

/// Which dead letters a command is about.
struct DeadLetterQueues: ParsableArguments {
    @Option(help: "Only this consumer: its queue, or its name in functions.yml. (default: all)")
    var queue: String?

    /// One value per consumer.
    private func open() throws -> [DeadLetters] {
        let project = try Project.find()
        let consumers = try project.manifest().functions.compactMap { function in
            function.queue.map { (name: function.name, topology: $0.topology) }
        }
        let chosen = consumers.filter { queue == nil || $0.name == queue || $0.topology.queue == queue }
        if let queue, chosen.isEmpty {
            let names = consumers.map(\.topology.queue).joined(separator: ", ")
            throw ValidationError("--queue \(queue): no function consumes it; functions.yml has \(names)")
        }
        let address = try Instance.startedWithBroker(project).brokerAddress()
        return chosen.map { .init(at: address, workQueue: $0.topology.queue, queue: $0.topology.deadLetter) }
    }

    /// Takes one consumer's after the other.
    func forEach(_ body: (DeadLetters) throws -> Void) throws {
        for letters in try open() {
            do {
                try body(letters)
            } catch BrokerError.refused(_, code: 404, _) {
                // A consumer that has never run has no queue, and so no dead letters.
            }
        }
    }

    static var limit: Deadline { .after(milliseconds: 600_000) }
}

/// Which letters a command settles.
struct DeadLetterSelection: ParsableArguments {
    @Argument(help: "The id of an event.")
    var id: String?

    @Flag(help: "All of them.")
    var all = false

    func validate() throws {
        guard (id != nil) != all else { throw ValidationError("say which: either the id of an event or --all") }
    }

    var selection: DeadLetters.Selection { id.map { .event(id: $0) } ?? .all }

    /// - Throws: when nothing was found under the id.
    func report(_ letters: [DeadLetter], _ what: String) throws {
        if letters.isEmpty, let id { throw InstanceError("no dead letter has the id “\(id)”: see taproom dlq list") }
        for letter in letters { print("\(what) \(letter.id.printable) (\(letter.type.printable), \(letter.queue))") }
        if letters.isEmpty { print("No dead letters.") }
    }
}

struct DeadLettersList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists dead letters, the oldest first.",
        discussion: "While it reads, the letters are out of their queue; two who read at once see a part each.")

    @OptionGroup var queues: DeadLetterQueues

    @Option(help: "Show at most this many of each queue.")
    var limit = 100

    @Flag(help: "A JSON array, for programs.")
    var json = false

    func validate() throws {
        guard limit > 0 else { throw ValidationError("--limit \(limit): give a number from 1") }
    }

    func run() throws {
        var letters: [DeadLetter] = []
        try queues.forEach { letters += try $0.list(limit: limit, deadline: DeadLetterQueues.limit) }
        if json { return try printJSON(letters) }
        guard !letters.isEmpty else { return print("No dead letters.") }
        let rows =
            [["EVENT", "TYPE", "ATTEMPTS", "QUEUE", "ERROR"]]
            + letters.map { letter in
                // A character may be of any length.
                let error = String(letter.error.unicodeScalars.prefix(200))
                return [letter.id, letter.type, String(letter.attempts), letter.queue, error].map(\.printable)
            }
        print(TextTable.lines(rows).joined(separator: "\n"))
    }
}

struct DeadLettersShow: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Shows one event with its data and why it failed.")

    @Argument(help: "The id of the event.")
    var id: String

    @OptionGroup var queues: DeadLetterQueues

    @Flag(help: "A JSON array, for programs.")
    var json = false

    func run() throws {
        var letters: [DeadLetter] = []
        try queues.forEach { queue in
            letters += try queue.list(deadline: DeadLetterQueues.limit).filter { $0.id.hasSameBytes(as: id) }
        }
        guard !letters.isEmpty else { throw InstanceError("no dead letter has the id “\(id)”: see taproom dlq list") }
        if json { return try printJSON(letters) }
        for letter in letters {
            let members = [
                ("event", letter.id), ("type", letter.type), ("source", letter.source),
                ("subject", letter.subject ?? "-"), ("time", letter.time ?? "-"), ("queue", letter.queue),
                ("attempts", String(letter.attempts)), ("error", letter.error), ("data", letter.data),
            ]
            for (name, value) in members {
                print("\(name.padding(toLength: 10, withPad: " ", startingAt: 0))\(value.printable)")
            }
        }
    }
}

struct DeadLettersRedrive: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "redrive", abstract: "Sends dead letters to their consumer again, under the ids they have.")

    @OptionGroup var which: DeadLetterSelection
    @OptionGroup var queues: DeadLetterQueues

    func run() throws {
        var redriven: [DeadLetter] = []
        var left: [String] = []
        var end: (any Error)?
        do {
            try queues.forEach { queue in
                try queue.redrive(which.selection, deadline: DeadLetterQueues.limit) { letter, fault in
                    guard let fault else { return redriven.append(letter) }
                    left.append("\(letter.id.printable) (\(letter.type.printable), \(letter.queue)): \(fault)")
                }
            }
        } catch {
            end = error
        }
        if !redriven.isEmpty || left.isEmpty && end == nil { try which.report(redriven, "redriven") }
        if !left.isEmpty { throw InstanceError("these stay dead letters:\n" + left.joined(separator: "\n")) }
        if let end { throw end }
    }
}

struct DeadLettersDiscard: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "discard", abstract: "Removes dead letters for ever.",
        discussion: "What is removed is kept in discarded-events.jsonl of the state folder, with who and why.")

    @OptionGroup var which: DeadLetterSelection
    @OptionGroup var queues: DeadLetterQueues

    @Option(help: "Who says so. (default: the login name)")
    var who: String?

    @Option(help: "Why nothing needs to come of them.")
    var why: String

    func validate() throws {
        guard !why.trimmingCharacters(in: .whitespacesAndNewlines).isEmpty else {
            throw ValidationError("--why must not be empty")
        }
    }

    func run() throws {
        let record = try DiscardedEvents(state: Project.find().state)
        var recorded: [DeadLetter] = []
        do {
            try queues.forEach { queue in
                try queue.discard(which.selection, deadline: DeadLetterQueues.limit) { letter in
                    try record.append(letter, who: who ?? NSUserName(), why: why)
                    recorded.append(letter)
                }
            }
        } catch {
            // Where the connection has broken, the broker may not have read every acknowledgement.
            let what = error is BrokerError ? "recorded and perhaps discarded" : "discarded"
            if !recorded.isEmpty { try which.report(recorded, what) }
            throw error
        }
        try which.report(recorded, "discarded")
    }
}
