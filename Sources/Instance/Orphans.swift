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
                let control = "unix://\(placement.functionSockets)/supervisor.sock"
                return process.environment("SUPERVISOR_SERVER_URL") == control
            case "postgres": return process.command.contains(placement.cluster)
            // RabbitMQ's virtual machine, whose home is the node's folder.
            case "beam.smp": return process.command.contains(placement.brokerHome)
            default: return false
            }
        }
    }

    /// Stops them and waits until they are gone.
    /// - Parameter supervisor: when one runs, only those workers of nginx are meant whose master is gone: they keep the
    ///   port from the next one.
    func stop(under supervisor: RunningProcess? = nil) throws {
        var found = find()
        if let supervisor {
            found = found.filter { $0.program == "nginx" }
            let kept = Set(found.map(\.pid) + [supervisor.pid])
            found = found.filter { !kept.contains($0.parent) }
        }
        guard !found.isEmpty else { return }
        for process in found { kill(process.pid, process.program == "postgres" ? SIGINT : SIGTERM) }
        if waitUntil(seconds: 20, condition: { !found.contains(where: \.isAlive) }) { return }
        for process in found where process.isAlive && process.program != "postgres" {
            kill(process.pid, SIGKILL)
        }
        guard waitUntil(seconds: 40, condition: { !found.contains(where: \.isAlive) }) else {
            let pids = found.filter(\.isAlive).map { "\($0.pid)" }.joined(separator: ", ")
            throw InstanceError("processes of an earlier start do not stop: \(pids)")
        }
    }
}
