import Foundation
import Glibc

/// Processes of an instance whose supervisord or nginx was killed: they hold ports and sockets, and nobody keeps them.
struct Orphans {
    let placement: Placement

    /// Found by what they execute and by the instance's own paths in their arguments, environment and open files, never
    /// by name alone.
    func find() -> [RunningProcess] {
        RunningProcess.all().filter { process in
            if let executable = process.executable, executable.hasPrefix(placement.executables + "/") { return true }
            switch process.program {
            // Its workers show no arguments, and outlive it when it is killed.
            case "nginx":
                // Its master's arguments are one text.
                return " \(process.command.joined(separator: " ")) ".contains(" \(placement.nginxConfiguration) ")
                    || process.hasOpen(placement.logs + "/nginx.log")
            // A function's holder: nothing but supervisord's own variable tells whose it is.
            case "sleep":
                let control = "unix://\(placement.supervisorSocket)"
                return process.environment("SUPERVISOR_SERVER_URL") == control
            case "postgres": return process.command.contains(placement.cluster)
            // RabbitMQ's virtual machine, whose home is the node's folder.
            case "beam.smp": return process.command.contains(placement.brokerHome)
            default: return false
            }
        }
    }

    /// Stops them and waits until they are gone: the servers last, because what a function has in hand is lost without
    /// its database.
    /// - Parameters:
    ///   - supervisor: when one runs, only those workers of nginx are meant whose master is gone: they keep the port
    ///     from the next one.
    ///   - seconds: how long functions may take to finish before they are killed.
    /// - Throws: when one of them is there for 40 s more.
    func stop(under supervisor: RunningProcess? = nil, finishingWithin seconds: Double) throws {
        var found = find()
        if let supervisor {
            found = found.filter { $0.program == "nginx" }
            let kept = Set(found.map(\.pid) + [supervisor.pid])
            found = found.filter { !kept.contains($0.parent) }
        }
        try stop(found.filter { !$0.isServer }, within: seconds)
        try stop(found.filter(\.isServer), within: 20)
    }

    private func stop(_ processes: [RunningProcess], within seconds: Double) throws {
        for process in processes { kill(process.pid, process.stopSignal) }
        let areGone = { !processes.contains(where: \.isAlive) }
        if waitUntil(seconds: seconds, condition: areGone) { return }
        for process in processes where process.isAlive && process.program != "postgres" {
            kill(process.pid, SIGKILL)
        }
        guard waitUntil(seconds: 40, condition: areGone) else {
            let pids = processes.filter(\.isAlive).map { "\($0.pid)" }.joined(separator: ", ")
            throw InstanceError(
                "processes of an earlier start do not stop: \(pids); stop them, then run this command again")
        }
    }
}
