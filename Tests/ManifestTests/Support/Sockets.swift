import Glibc

struct SocketError: Error {
    let call: String
    let code: Int32

    init(_ call: String) {
        self.call = call
        code = errno
    }
}

/// Whoever calls closes the descriptor. Reading from it fails after 30 seconds of silence.
func connectLoopback(port: Int) throws -> Int32 {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(UInt16(port)).bigEndian
    address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
    return try connected(AF_INET, to: address)
}

func connectUnix(_ path: String) throws -> Int32 {
    try connected(AF_UNIX, to: unixAddress(path))
}

func listenUnix(_ path: String) throws -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = unixAddress(path)
    guard withSocketAddress(&address, { bind(descriptor, $0, $1) }) == 0, listen(descriptor, 128) == 0 else {
        close(descriptor)
        throw SocketError("bind")
    }
    return descriptor
}

func send(_ bytes: [UInt8], to descriptor: Int32) throws {
    var sent = 0
    while sent < bytes.count {
        let count = bytes[sent...].withUnsafeBytes {
            send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        guard count > 0 else { throw SocketError("send") }
        sent += count
    }
}

/// Empty at the end of the stream.
func receive(from descriptor: Int32) throws -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let count = recv(descriptor, &buffer, buffer.count, 0)
    guard count >= 0 else { throw SocketError("recv") }
    return Array(buffer[..<count])
}

private func connected<Address>(_ family: Int32, to address: Address) throws -> Int32 {
    let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var patience = timeval(tv_sec: 30, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    var address = address
    guard withSocketAddress(&address, { connect(descriptor, $0, $1) }) == 0 else {
        let error = SocketError("connect")
        close(descriptor)
        throw error
    }
    return descriptor
}

private func unixAddress(_ path: String) -> sockaddr_un {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
    return address
}

private func withSocketAddress<Address>(
    _ address: inout Address, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
) -> Int32 {
    withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<Address>.size)) }
    }
}
