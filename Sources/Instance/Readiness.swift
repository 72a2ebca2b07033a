import Foundation

/// Waiting until the whole instance answers, and saying why it does not.
struct Readiness {
    let instance: Instance

    private static let secondsToWait = 60.0

    func wait() throws {
        let gateway = Gateway(port: instance.record.gatewayPort)
        var last: (status: Int, body: String)?
        let ready = waitUntil(seconds: Self.secondsToWait) {
            last = gateway.get("/readyz")
            return last?.status == 200
        }
        if ready { return try waitForWorkers() }
        let answer = last.map { "GET /readyz answers \($0.status): \($0.body.prefix(400))" }
        throw try failure(answer ?? "the gateway does not answer", suspects: ["nginx", "readyz"])
    }

    private func waitForWorkers() throws {
        let isRunning = try waitUntil(seconds: Self.secondsToWait, every: 100) {
            try instance.processes().allSatisfy(\.isRunning)
        }
        guard isRunning else { throw try failure("not everything stays up", suspects: []) }
    }

    /// The error for something that does not come up, with the end of the logs of what does not run.
    /// - Parameter suspects: whose logs to show when everything runs.
    func failure(_ what: String, suspects: [String]) throws -> InstanceError {
        let down = try instance.processes().filter { !$0.isRunning && !$0.isStarting }
        var lines = [what]
        lines += down.map { "\($0.address) is \($0.state)" }
        for name in down.isEmpty ? suspects : Set(down.map(\.group)).sorted() {
            for file in instance.logFiles(of: name) {
                let end = LogFile(path: file).lastLines(8)
                if !end.isEmpty { lines += ["last lines of \(file):"] + end.map { "  \($0)" } }
            }
        }
        lines.append("to look further: taproom logs, taproom doctor, and the files in \(instance.placement.logs)")
        return InstanceError(lines.joined(separator: "\n"))
    }
}
