import Glibc

/// TCP ports on the loopback address.
enum Ports {
    /// Whether a server could listen there now.
    static func isFree(_ port: Int) -> Bool { obstacle(port) == nil }

    /// What keeps a server from listening there now, with the way out; `nil` for nothing.
    static func obstacle(_ port: Int) -> String? {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard listener >= 0 else { return "\(SystemError("no socket for port \(port)"))" }
        defer { close(listener) }
        // As servers do: connections of the last one that linger in TIME_WAIT do not count.
        var on: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        var address = loopback(port)
        let isBound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 && listen(listener, 1) == 0
            }
        }
        if isBound { return nil }
        return errno == EACCES
            ? "port \(port) is reserved for root: choose one from 1024 on"
            : "port \(port) is in use by another program: stop that one, or choose another port"
    }

    /// The first free port of a range that derives from the gateway's, so that two instances that start at the same
    /// moment look at different ones.
    /// - Parameters:
    ///   - program: whose port it is, for the message; each has a range of its own.
    ///   - taken: ports that something else of the instance has, or will have.
    static func pick(for program: String, above distance: Int, gateway: Int, taken: [Int] = []) throws -> Int {
        let first = gateway + distance <= 65_000 ? gateway + distance : gateway - 20_000 + distance
        guard
            let port = (first..<first + 500).first(where: { $0 != gateway && !taken.contains($0) && isFree($0) })
        else {
            throw InstanceError(
                "no free port from \(first) to \(first + 499) for \(program); free one, or choose another TAPROOM_PORT")
        }
        return port
    }

    static func loopback(_ port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        return address
    }
}
