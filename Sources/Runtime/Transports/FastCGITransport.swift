import CFastCGI
import CLinux
import Glibc

/// FastCGI over the listening socket on standard input, by libfcgi.
///
/// A worker waits for the socket or the stop signal and accepts without blocking, so it can be stopped while
/// it is idle, which `FCGX_Accept_r` alone cannot. It accepts by itself and hands the connection to libfcgi, because
/// only so a peer that sends nothing, or half a record, can be given a time limit.
struct FastCGITransport: Transport, ~Copyable {
    private let request: UnsafeMutablePointer<FCGX_Request>
    private let stop: StopSignal
    private let connections: ConnectionWait
    private let timeoutMilliseconds: Int
    /// When a streamed answer to the request in hand must have been taken.
    private var deadline = Deadline.never

    /// Longest wait for the next bytes of a request. The gateway has them all before it connects.
    private static let patience = timeval(tv_sec: 2, tv_usec: 0)

    /// Most bytes of a streamed body that are sent at once: one write.
    private static let pieceSize = 8192

    /// - Parameter timeoutMilliseconds: the function's time limit. A peer that takes a streamed answer more slowly
    ///   holds the worker, and what the body is made from, no longer than that.
    init(stop: StopSignal, timeoutMilliseconds: Int) {
        self.stop = stop
        self.timeoutMilliseconds = timeoutMilliseconds
        connections = ConnectionWait(listener: STDIN_FILENO, stop: stop.descriptor)
        request = .allocate(capacity: 1)
        request.initialize(to: FCGX_Request())
        reset()
    }

    deinit {
        FCGX_Free(request, 1)
        request.deallocate()
    }

    /// Without a listening socket of its own: libfcgi would accept from it after a peer that spoke no FastCGI.
    private func reset() { FCGX_InitRequest(request, -1, 0) }

    mutating func next() -> Request? {
        // One request a connection, whatever the peer wishes: a kept one would hold its worker while it is idle.
        FCGX_Finish_r(request)
        if request.pointee.ipcFd >= 0 { FCGX_Free(request, 1) }
        while !stop.isRaised {
            connections.wait()
            if !stop.isRaised, acceptConnection(), FCGX_Accept_r(request) == 0 {
                deadline = .after(milliseconds: timeoutMilliseconds)
                return read()
            }
        }
        return nil
    }

    /// False when nobody is there, another worker was faster, or there is no descriptor to be had.
    private func acceptConnection() -> Bool {
        let connection = accept(STDIN_FILENO, nil, nil)
        guard connection >= 0 else {
            // A lack that passes, and must not become a busy loop.
            if [EMFILE, ENFILE, ENOMEM, ENOBUFS].contains(errno) { usleep(10_000) }
            return false
        }
        var patience = Self.patience
        setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        reset()
        request.pointee.ipcFd = connection
        // libfcgi reads from a connection that it believes to have kept.
        request.pointee.keepConnection = 1
        return true
    }

    mutating func send(_ response: HTTPResponse, withBody: Bool) throws {
        let (request, deadline) = (request, deadline)
        let isStreamed = if case .stream = response.body { true } else { false }
        var sending = ResponseSending()
        do {
            try sending.send(response, withBody: withBody) { bytes in
                if isStreamed {
                    try Self.put(bytes, request, until: deadline)
                } else {
                    try Self.put(bytes, request)
                }
            }
            // Closing both streams sends answer and end in one write, and says whether it arrived; finishing alone
            // would not say, flushing first would cost a write more.
            guard FCGX_FClose(request.pointee.err) | FCGX_FClose(request.pointee.out) == 0 else {
                if isStreamed, deadline.hasPassed { throw SlowReader() }
                throw ClientGone()
            }
            // The request has been read to its end, so closing cannot take the answer away from the peer, and libfcgi
            // need not wait for the peer to close first, as it does for an attached one.
            FCGX_Detach(request)
            FCGX_Finish_r(request)
        } catch {
            if !sending.hasBegun { throw error }
            // The gateway must see an answer that breaks off, not one that is complete: for nginx 1.22 the end of the
            // connection ends it as END_REQUEST does, and only a record that is none breaks it off.
            let malformed = [UInt8](repeating: 0, count: 8)
            // A peer that takes nothing has left no room for it: the kernel gives twice of this.
            var room = Int32(1 << 20)
            setsockopt(request.pointee.ipcFd, SOL_SOCKET, SO_SNDBUF, &room, socklen_t(MemoryLayout<Int32>.size))
            Glibc.send(request.pointee.ipcFd, malformed, malformed.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
            shutdown(request.pointee.ipcFd, Int32(SHUT_RDWR))
            FCGX_Free(request, 1)
            reset()
            throw error
        }
    }

    private static func put(_ bytes: UnsafeRawBufferPointer, _ request: UnsafeMutablePointer<FCGX_Request>) throws {
        guard let start = bytes.baseAddress, !bytes.isEmpty else { return }
        let text = start.assumingMemoryBound(to: CChar.self)
        if FCGX_PutStr(text, Int32(bytes.count), request.pointee.out) < 0 { throw ClientGone() }
    }

    /// Waits for the peer until the deadline. Whole answers, far smaller than what the gateway buffers, do without.
    private static func put(
        _ bytes: UnsafeRawBufferPointer, _ request: UnsafeMutablePointer<FCGX_Request>, until deadline: Deadline
    ) throws {
        for start in stride(from: 0, to: bytes.count, by: pieceSize) {
            let milliseconds = deadline.remainingMilliseconds
            // A time-out of 0 would be none.
            guard milliseconds > 0 else { throw SlowReader() }
            var wait = timeval(tv_sec: milliseconds / 1000, tv_usec: milliseconds % 1000 * 1000)
            setsockopt(
                request.pointee.ipcFd, SOL_SOCKET, SO_SNDTIMEO, &wait, socklen_t(MemoryLayout<timeval>.size))
            do {
                try put(UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + pieceSize, bytes.count)]), request)
            } catch {
                throw deadline.hasPassed ? SlowReader() : error
            }
        }
    }

    /// The peer had not taken a streamed answer by the deadline.
    private struct SlowReader: Error, CustomStringConvertible {
        let description = "the client had not taken it all within the time limit"
    }

    private func read() -> Request {
        var result = Request()
        if let variables = request.pointee.envp { result.take(variables: variables) }
        if let fault = readBody(into: &result.body, announced: result.headers["content-length"]) {
            result.fault = fault
        }
        let descriptor = request.pointee.ipcFd
        result.isAbandoned = {
            var peer = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            return poll(&peer, 1, 0) > 0 && Int32(peer.revents) & (POLLHUP | POLLERR) != 0
        }
        return result
    }

    /// Reads to the end whatever was announced: an unread rest would be taken for the next request of the connection.
    private func readBody(into body: inout [UInt8], announced: String?) -> Problem? {
        let expected = min(announced.flatMap { Int($0) } ?? 0, Request.bodyLimit)
        if expected > 0 {
            // One byte more, to know a body that is longer.
            body = Array(unsafeUninitializedCapacity: expected + 1) { buffer, count in
                let start = UnsafeMutableRawPointer(buffer.baseAddress.unsafelyUnwrapped)
                    .assumingMemoryBound(to: CChar.self)
                count = Int(FCGX_GetStr(start, Int32(expected + 1), request.pointee.in))
            }
        }
        var total = body.count
        if expected <= 0 || total > expected {
            withUnsafeTemporaryAllocation(of: CChar.self, capacity: 8192) { rest in
                while true {
                    let count = Int(FCGX_GetStr(rest.baseAddress, 8192, request.pointee.in))
                    total += count
                    // A body that is longer than announced is refused, so only one without a length is kept.
                    if announced == nil, total <= Request.bodyLimit {
                        body.append(contentsOf: UnsafeRawBufferPointer(start: rest.baseAddress, count: count))
                    }
                    if count < 8192 { break }
                }
            }
        }
        return Request.bodyFault(
            announced: announced, read: total, isCut: FCGX_GetError(request.pointee.in) != 0)
    }
}
