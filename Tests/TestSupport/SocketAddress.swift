import Glibc
import Runtime

/// A file descriptor with one owner.
final class OwnedDescriptor: Sendable {
    private let state: Lock<Int32>

    init(_ number: Int32) { state = Lock(number) }

    deinit { close() }

    /// −1 once closed, which every call refuses.
    var number: Int32 { state.withLock { $0 } }

    func close() {
        state.withLock { number in
            if number >= 0 { Glibc.close(number) }
            number = -1
        }
    }
}

/// Keeps a child process from inheriting a descriptor in the moment before that is marked close-on-exec: glibc offers
/// accept4 only under _GNU_SOURCE, which Swift does not see.
enum DescriptorInheritance {
    private static let lock = Lock(())

    static func exclusively<Result>(_ body: () -> Result) -> Result { lock.withLock { _ in body() } }
}

/// Addresses in the form that the socket calls take.
enum SocketAddress {
    static func withLoopback<Result>(port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withGeneric(&address, body)
    }

    /// The path must be shorter than 108 bytes.
    static func withPath<Result>(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        precondition(path.utf8.count < MemoryLayout.size(ofValue: address.sun_path), "socket path too long: \(path)")
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return withGeneric(&address, body)
    }

    static func port(of descriptor: Int32) -> Int {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            _ = pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        return Int(in_port_t(bigEndian: address.sin_port))
    }

    private static func withGeneric<Address, Result>(
        _ address: inout Address, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<Address>.size))
            }
        }
    }
}
