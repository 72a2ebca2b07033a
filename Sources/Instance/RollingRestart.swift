import Foundation
import Glibc
import Manifest

/// Replaces the workers of functions, of all at the same time. The holder of each group keeps the listening socket, so
/// requests wait in its backlog and none is lost.
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
        try progress.step("Restarting \(outdated.count) functions") { try replace(outdated) }
    }

    /// Restarts the worker of one function, or of all.
    /// - Throws: `InstanceError` for a function that is not in the manifest, or workers that do not come back.
    public func run(function: String?) throws {
        if let function { _ = try instance.function(named: function) }
        try replace(try workers().filter { function == nil || $0.group == function })
    }

    private func workers() throws -> [SupervisedProcess] {
        let names = Set(instance.manifest.functions.map(\.name))
        return try instance.processes().filter { names.contains($0.group) && !$0.isHolder }
    }

    private func replace(_ workers: [SupervisedProcess]) throws {
        let running = workers.filter { $0.pid != nil }
        // A worker that got SIGTERM finishes what it has in hand; supervisord starts the next when it is gone.
        if !running.isEmpty { try instance.supervisor.signal("TERM", running.map(\.address)) }
        try instance.supervisor.restart(workers.filter(\.isIdle))
        let old = Dictionary(uniqueKeysWithValues: running.map { ($0.address, $0.pid) })
        let longest = instance.manifest.functions.map(\.timeout).max() ?? 0
        var left = Set(workers.map(\.address))
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
                suspects: Set(workers.map(\.group)).sorted())
        }
    }
}
