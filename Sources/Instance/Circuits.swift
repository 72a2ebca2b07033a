import Foundation

extension Instance {
    /// A host that a function leaves alone for now, because calls to it failed one after the other.
    public struct CircuitStatus: Codable, Sendable, Equatable {
        public let function: String
        public let host: String
        /// `open`, or `half-open` while one call is out to see.
        public let state: String
        public let pid: Int
        /// RFC 3339.
        public let since: String
    }

    /// What the running workers last logged of their circuits, but for the closed ones; older than the last 2 MB of a
    /// function's log is not looked at.
    public func circuits(_ functions: [FunctionStatus]) -> [CircuitStatus] {
        functions.flatMap { function in
            let lines = logFiles(of: function.name).flatMap { LogFile(path: $0).lastLines(.max, within: 2 << 20) }
            var latest: [String: CircuitStatus] = [:]
            for line in lines where line.contains("\"circuit\":") {
                guard let entry = try? JSONDecoder().decode(CircuitLine.self, from: Data(line.utf8)),
                    let pid = Int(entry.pid), function.pids.contains(pid)
                else { continue }
                let key = "\(pid) \(entry.host)"
                let isSame = latest[key]?.state == entry.circuit
                latest[key] = CircuitStatus(
                    function: function.name, host: entry.host, state: entry.circuit, pid: pid,
                    since: isSame ? latest[key]?.since ?? entry.time : entry.time)
            }
            return latest.values.filter { $0.state != "closed" }.sorted { ($0.host, $0.pid) < ($1.host, $1.pid) }
        }
    }
}

/// What a function logs when a circuit changes, and of every call that an open one refuses.
private struct CircuitLine: Decodable {
    let time: String
    let circuit: String
    let host: String
    let pid: String
}
