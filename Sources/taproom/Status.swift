import ArgumentParser
import Foundation
import Instance
import Manifest
import Runtime

struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Says where things are and what runs; exits 3 when not everything does.",
        discussion: "With --json the object itself says what runs, and the exit status is 0 whenever there is one.")

    @Flag(help: "One JSON object, for programs.")
    var json = false

    /// The object that programs read; its members stay.
    private struct Report: Encodable {
        let gateway: String
        let databases: [String: String]
        let rabbitmq: String?
        let queues: [Instance.QueueStatus]
        let outboxes: [Instance.OutboxStatus]
        let functions: [Instance.FunctionStatus]
        let circuits: [Instance.CircuitStatus]
        let state: String
    }

    func run() throws {
        let project = try Project.find()
        let instance = try Instance.started(project)
        let record = instance.record
        let functions = try instance.functions()
        if json {
            return try printJSON(
                Report(
                    gateway: record.gateway, databases: record.databases, rabbitmq: record.rabbitmq,
                    queues: instance.queues(), outboxes: instance.outboxes(), functions: functions,
                    circuits: instance.circuits(functions), state: record.state))
        }
        try show(instance, functions)
        if !instance.isRunning { print("down: \(project.upCommand(scope: record.scope)) starts it") }
        let isInOrder = try functions.allSatisfy(\.isInOrder) && others(instance, functions).allSatisfy(\.isRunning)
        guard isInOrder else { throw ExitCode(3) }
    }

    /// nginx, and what is embedded.
    private func others(
        _ instance: Instance, _ functions: [Instance.FunctionStatus]
    ) throws -> [SupervisedProcess] {
        try instance.processes().filter { process in !functions.contains { $0.name == process.group } }
    }

    private func show(_ instance: Instance, _ functions: [Instance.FunctionStatus]) throws {
        print("gateway  \(instance.record.gateway)   scope \(instance.record.scope)")
        print("state    \(instance.record.state)")
        var rows = try others(instance, functions).map {
            [$0.group, $0.state.lowercased(), $0.pid.map(String.init) ?? ""]
        }
        rows += functions.map { function in
            let pids = function.pids.map(String.init).joined(separator: " ")
            return [function.name, function.state.rawValue, pids + (function.trigger.map { "   \($0)" } ?? "")]
        }
        print(TextTable.lines(rows).joined(separator: "\n"))
        if instance.isRunning { showEvents(instance) }
        for circuit in instance.circuits(functions) {
            print("circuit  \(circuit.function) leaves \(circuit.host) alone: \(circuit.state) since \(circuit.since)")
        }
    }

    private func showEvents(_ instance: Instance) {
        func number(_ count: Int?) -> String { count.map(String.init) ?? "?" }
        for outbox in instance.outboxes() {
            let age = outbox.oldestSeconds.map { ", the oldest for \(String(format: "%.1f", $0)) s" } ?? ""
            print(
                "outbox   \(outbox.service): \(number(outbox.waiting)) waiting\(age), "
                    + "\(number(outbox.unroutable)) unroutable")
        }
        for queue in instance.queues() {
            print(
                "queue    \(queue.queue): \(number(queue.waiting)) waiting, \(number(queue.retrying)) retrying, "
                    + "\(number(queue.dead)) dead letters" + (queue.consumers == 0 ? ", no consumer" : ""))
        }
    }
}

extension Instance.FunctionStatus {
    /// What makes it run when no route does.
    fileprivate var trigger: String? { schedule ?? queue.map { "queue \($0)" } ?? outbox.map { "outbox \($0)" } }
}
