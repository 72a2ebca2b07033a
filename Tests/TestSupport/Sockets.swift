import Glibc

/// A call of the operating system that failed.
public struct SystemCallError: Error, CustomStringConvertible {
    public let call: String
    public let code: Int32

    init(_ call: String, _ code: Int32 = errno) {
        self.call = call
        self.code = code
    }

    public var description: String { "\(call): \(String(cString: strerror(code)))" }
}

/// A connected stream socket. It closes when it goes, or before, by `close` or `reset`.
///
/// Reads and writes block for at most two minutes, so that a fault fails a test instead of hanging it. No child
/// process inherits it.
public final class StreamSocket: Sendable {
    private let descriptor: OwnedDescriptor

    init(descriptor: Int32) {
        self.descriptor = OwnedDescriptor(descriptor)
        var patience = timeval(tv_sec: 120, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(descriptor, SOL_SOCKET, option, &patience, socklen_t(MemoryLayout<timeval>.size))
        }
    }

    /// Connects to a port of the loopback address.
    public static func connect(port: Int) throws -> StreamSocket {
        try connect(AF_INET) { descriptor in
            SocketAddress.withLoopback(port: port) { Glibc.connect(descriptor, $0, $1) }
        }
    }

    /// Connects to a Unix socket.
    public static func connect(path: String) throws -> StreamSocket {
        try connect(AF_UNIX) { descriptor in
            SocketAddress.withPath(path) { Glibc.connect(descriptor, $0, $1) }
        }
    }

    private static func connect(_ family: Int32, _ call: (Int32) -> Int32) throws -> StreamSocket {
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SystemCallError("socket") }
        let socket = StreamSocket(descriptor: descriptor)
        guard call(descriptor) == 0 else { throw SystemCallError("connect") }
        return socket
    }

    /// Two sockets connected with each other.
    static func pair() -> (StreamSocket, StreamSocket) {
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        precondition(socketpair(AF_UNIX, type, 0, &ends) == 0, "no socket pair")
        return (StreamSocket(descriptor: ends[0]), StreamSocket(descriptor: ends[1]))
    }

    /// The number to hand to a child process.
    var number: Int32 { descriptor.number }

    /// Waits for bytes or the end of the stream; false when neither came in time.
    public func waitForInput(milliseconds: Int) -> Bool {
        var input = pollfd(fd: descriptor.number, events: Int16(POLLIN), revents: 0)
        return poll(&input, 1, Int32(milliseconds)) > 0
    }

    /// Sends all bytes. A peer that has closed is an error, not a signal.
    public func send(_ bytes: [UInt8]) throws {
        var offset = 0
        while offset < bytes.count {
            let sent = bytes.withUnsafeBytes { all in
                Glibc.send(
                    descriptor.number, all.baseAddress.map { $0 + offset }, all.count - offset, Int32(MSG_NOSIGNAL))
            }
            guard sent > 0 else { throw SystemCallError("send") }
            offset += sent
        }
    }

    public func send(_ text: String) throws { try send(Array(text.utf8)) }

    /// What has come, at least one byte; empty at the end of the stream.
    /// - Throws: a reset of the connection, and the time-out.
    public func receive(atMost limit: Int = 65_536) throws -> [UInt8] {
        var failed = false
        let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
            let received = recv(descriptor.number, buffer.baseAddress, limit, 0)
            failed = received < 0
            count = max(0, received)
        }
        if failed { throw SystemCallError("recv") }
        return bytes
    }

    /// Everything up to the end of the stream.
    public func receiveAll() throws -> [UInt8] {
        var all: [UInt8] = []
        while true {
            let piece = try receive()
            if piece.isEmpty { return all }
            all += piece
        }
    }

    /// Sends no more; the peer reads the end of the stream, and can still answer.
    public func finishSending() { shutdown(descriptor.number, Int32(SHUT_WR)) }

    /// Ends both directions at once, also for a thread that waits in `receive`.
    public func abort() { shutdown(descriptor.number, Int32(SHUT_RDWR)) }

    public func close() { descriptor.close() }
}

/// A listening stream socket. It closes when it goes.
public final class StreamListener: Sendable {
    private let descriptor: OwnedDescriptor
    /// 0 for a Unix socket.
    public let port: Int

    /// The number to hand to a child process.
    public var number: Int32 { descriptor.number }

    /// Listens on a free port of the loopback address.
    public init(backlog: Int32 = 511) throws {
        descriptor = try Self.open(AF_INET)
        let result = SocketAddress.withLoopback(port: 0) { [descriptor] in bind(descriptor.number, $0, $1) }
        guard result == 0 else { throw SystemCallError("bind") }
        guard listen(descriptor.number, backlog) == 0 else { throw SystemCallError("listen") }
        port = SocketAddress.port(of: descriptor.number)
    }

    /// Listens on a new Unix socket.
    public init(path: String, backlog: Int32 = 511) throws {
        descriptor = try Self.open(AF_UNIX)
        let result = SocketAddress.withPath(path) { [descriptor] in bind(descriptor.number, $0, $1) }
        guard result == 0 else { throw SystemCallError("bind \(path)") }
        guard listen(descriptor.number, backlog) == 0 else { throw SystemCallError("listen") }
        port = 0
    }

    private static func open(_ family: Int32) throws -> OwnedDescriptor {
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SystemCallError("socket") }
        return OwnedDescriptor(descriptor)
    }

    /// The next connection; `nil` once `stop` was called. For one thread at a time.
    public func accept() -> StreamSocket? {
        while true {
            var waiting = pollfd(fd: descriptor.number, events: Int16(POLLIN), revents: 0)
            guard poll(&waiting, 1, -1) > 0 else { continue }
            let peer = DescriptorInheritance.exclusively {
                let peer = Glibc.accept(descriptor.number, nil, nil)
                if peer >= 0 { _ = fcntl(peer, F_SETFD, FD_CLOEXEC) }
                return peer
            }
            if peer >= 0 { return StreamSocket(descriptor: peer) }
            guard errno == ECONNABORTED else { return nil }
        }
    }

    /// Whether a connection waits to be accepted.
    public var hasWaiting: Bool {
        var waiting = pollfd(fd: descriptor.number, events: Int16(POLLIN), revents: 0)
        return poll(&waiting, 1, 0) > 0
    }

    /// Takes no more connections; a thread that waits in `accept` returns.
    public func stop() { shutdown(descriptor.number, Int32(SHUT_RDWR)) }
}
