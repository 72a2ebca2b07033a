import Glibc
import Synchronization

/// TCP ports of the loopback address.
public enum Loopback {
    /// Below the ports that the kernel gives to connections, so that none of these takes a server's port before it
    /// listens, or while it restarts; and with room above each for the ports that an instance derives from its own.
    private static let range = 12_000..<28_000
    private static let counter = Atomic<Int>(Int.random(in: range))

    /// A port that nobody listens on, and that no other call in this process gets soon.
    public static func freePort() throws -> Int {
        for _ in range {
            let number = counter.wrappingAdd(1, ordering: .relaxed).newValue
            let port = range.lowerBound + number % range.count
            if try isFree(port) { return port }
        }
        throw SystemCallError("no free port in \(range)")
    }

    /// Whether somebody takes connections at a port.
    public static func isListening(_ port: Int) -> Bool {
        (try? withSocket { socket in SocketAddress.withLoopback(port: port) { connect(socket, $0, $1) } == 0 }) ?? false
    }

    private static func isFree(_ port: Int) throws -> Bool {
        try withSocket { socket in
            // As servers do: connections that linger in TIME_WAIT do not count.
            var on: Int32 = 1
            setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
            return SocketAddress.withLoopback(port: port) { bind(socket, $0, $1) } == 0 && listen(socket, 1) == 0
        }
    }

    private static func withSocket<Result>(_ body: (Int32) -> Result) throws -> Result {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SystemCallError("socket") }
        defer { close(descriptor) }
        return body(descriptor)
    }
}
