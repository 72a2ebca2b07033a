import Foundation
import Glibc
import Manifest

/// Replaces the workers of functions one by one. The holder of each group keeps the listening socket, so requests wait
/// in its backlog and none is lost.
public struct RollingRestart {
    let instance: Instance

    public init(instance: Instance) { self.instance = instance }

    /// Restarts the workers that still run an executable, or use a library, that has been replaced.
    func replaceOutdated(_ progress: Progress) throws {
        let outdated = try workers().filter { worker in
            guard let process = worker.pid.flatMap({ RunningProcess(pid: pid_t($0)) }) else { return false }
            return process.runsReplacedExecutable || process.hasLoadedReplaced(in: instance.placement.libraries)
        }
        guard !outdated.isEmpty else { return }
        try progress.step("Restarting \(Set(outdated.map(\.group)).count) functions") { try restart(outdated) }
    }

    /// Restarts every worker of one function, or of all.
    /// - Throws: `InstanceError` for a function that is not in the manifest, or workers that do not come back.
    public func run(function: String?) throws {
        if let function { _ = try instance.function(named: function) }
        try restart(try workers().filter { function == nil || $0.group == function })
    }

    private func workers() throws -> [SupervisedProcess] {
        let names = Set(instance.manifest.functions.map(\.name))
        return try instance.processes().filter { names.contains($0.group) && !$0.isHolder }
    }

    /// One worker of each function at a time; functions do not wait for each other.
    private func restart(_ workers: [SupervisedProcess]) throws {
        var waiting = Dictionary(grouping: workers, by: \.group)
        while !waiting.isEmpty {
            let round = waiting.values.compactMap(\.first)
            waiting = waiting.compactMapValues { $0.count > 1 ? Array($0.dropFirst()) : nil }
            try replace(round)
        }
    }

    private func replace(_ round: [SupervisedProcess]) throws {
        let running = round.filter { $0.pid != nil }
        // A worker that got SIGTERM finishes what it has in hand; supervisord starts the next when it is gone.
        if !running.isEmpty { try instance.supervisor.signal("TERM", running.map(\.address)) }
        try instance.supervisor.restart(round.filter(\.isIdle))
        let old = Dictionary(uniqueKeysWithValues: running.map { ($0.address, $0.pid) })
        let longest = instance.manifest.functions.map(\.timeout).max() ?? 0
        var left = Set(round.map(\.address))
        let done = try waitUntil(seconds: Double(longest) + 15, every: 200) {
            for process in try instance.supervisor.status()
            where process.isRunning && process.pid != old[process.address] {
                left.remove(process.address)
            }
            return left.isEmpty
        }
        guard done else {
            throw try Readiness(instance: instance).failure(
                "workers do not come back: \(left.sorted().joined(separator: ", "))",
                suspects: Set(round.map(\.group)).sorted())
        }
    }
}
