import Runtime

/// The servers of an address that names several, each to be tried by itself.
///
/// libpq goes on to the next one when one fails, and leaves it to its caller to end a wait: one that is silent would
/// take all the time there is, from every session anew. Which one gave a session last is remembered for the process.
///
/// Of `target_session_attrs` the one `prefer-standby` counts for nothing here: the first that answers is taken.
struct HostList {
    /// libpq's, by name.
    typealias Parameters = [(name: String, value: String)]

    private let address: String
    /// `host`, `hostaddr` and `port` of each.
    private let hosts: [Parameters]

    private static let lastToAnswer = Lock([String: Int]())

    /// - Parameter parameters: what the address says.
    /// - Returns: `nil` for one server, and for lists with an empty place or of different lengths, which are libpq's to
    ///   read or to refuse.
    init?(_ address: String, _ parameters: [String: String]) {
        func list(_ name: String) -> [String] {
            let places = parameters[name]?.split(separator: ",", omittingEmptySubsequences: false) ?? []
            return places.map(String.init)
        }
        let (names, addresses, ports) = (list("host"), list("hostaddr"), list("port"))
        let count = max(names.count, addresses.count)
        guard count > 1, [0, 1, count].contains(ports.count),
            [names, addresses].allSatisfy({ [0, count].contains($0.count) && !$0.contains("") })
        else { return nil }
        self.address = address
        hosts = (0..<count).map { index in
            // An empty port in a list is the default.
            let port = ports.count == count ? ports[index] : ports.first
            var host: Parameters = []
            if !names.isEmpty { host.append(("host", names[index])) }
            if !addresses.isEmpty { host.append(("hostaddr", addresses[index])) }
            if let port { host.append(("port", port.isEmpty ? "5432" : port)) }
            return host
        }
    }

    /// Has the first be tried first again, as at the start of the process.
    static func forgetLast(of address: String) {
        lastToAnswer.withLock { _ = $0.removeValue(forKey: address) }
    }

    /// Calls `open` with these parameters and those of one after the other until one answers, each with an even share of
    /// the time that is left.
    /// - Throws: `PostgresError.unavailable` with what each of them said.
    func tryEach(
        _ wanted: Parameters, deadline: Deadline, _ open: (Parameters, Deadline) throws(PostgresError) -> Void
    ) throws(PostgresError) {
        let last = Self.lastToAnswer.withLock { $0[address] } ?? 0
        var refusals: [String] = []
        for (tried, index) in ([last] + hosts.indices.filter { $0 != last }).enumerated() {
            let share = deadline.remainingMilliseconds / (hosts.count - tried)
            do throws(PostgresError) {
                try open(wanted + hosts[index], deadline.atMost(milliseconds: share))
                if index != last { Self.lastToAnswer.withLock { $0[address] = index } }
                return
            } catch .unavailable(let reason) {
                refusals.append(hosts[index].map(\.value).joined(separator: ":") + ": " + reason)
            }
        }
        throw .unavailable(reason: refusals.joined(separator: "; "))
    }
}
