internal import CFastCGI
import Glibc

/// FastCGI over the listening socket on standard input, by libfcgi.
///
/// A worker waits in poll(2) for the socket or the stop signal and accepts without blocking, so it can be stopped while
/// it is idle, which `FCGX_Accept_r` alone cannot.
struct FastCGITransport: Transport, ~Copyable {
    private let request: UnsafeMutablePointer<FCGX_Request>
    private let stop: StopSignal

    init(stop: StopSignal) {
        self.stop = stop
        request = .allocate(capacity: 1)
        request.initialize(to: FCGX_Request())
        FCGX_InitRequest(request, STDIN_FILENO, 0)
    }

    deinit {
        FCGX_Free(request, 1)
        request.deallocate()
    }

    mutating func next() -> Request? {
        while !stop.isRaised {
            let result = FCGX_Accept_r(request)
            if result == 0 { return read() }
            // EAGAIN: nobody is there, or another worker was faster. Anything else is a peer that spoke no FastCGI or
            // left; a lack of descriptors passes, and must not become a busy loop.
            if result == -EMFILE || result == -ENFILE || result == -ENOMEM { usleep(10_000) }
            stop.wait(orReadable: STDIN_FILENO)
        }
        return nil
    }

    mutating func send(_ response: HTTPResponse, withBody: Bool) throws {
        let request = request
        var sending = ResponseSending()
        do {
            try sending.send(response, withBody: withBody) { bytes in
                guard let start = bytes.baseAddress, !bytes.isEmpty else { return }
                let text = start.assumingMemoryBound(to: CChar.self)
                if FCGX_PutStr(text, Int32(bytes.count), request.pointee.out) < 0 { throw ClientGone() }
            }
            // Closing both streams sends answer and end in one write, and says whether it arrived; finishing alone
            // would not say, flushing first would cost a write more.
            let failed = FCGX_FClose(request.pointee.err) | FCGX_FClose(request.pointee.out) != 0
            FCGX_Finish_r(request)
            if failed { throw ClientGone() }
        } catch {
            if !sending.hasBegun { throw error }
            // No END_REQUEST: the gateway must see an answer that breaks off, not one that is complete.
            shutdown(request.pointee.ipcFd, Int32(SHUT_RDWR))
            FCGX_Free(request, 1)
            FCGX_InitRequest(request, STDIN_FILENO, 0)
            throw error
        }
    }

    private func read() -> Request {
        var result = Request()
        var entry = request.pointee.envp
        while let pointer = entry, let text = pointer.pointee {
            let bytes = UnsafeRawPointer(text).assumingMemoryBound(to: UInt8.self)
            if let equals = strchr(text, Int32(UInt8(ascii: "="))) {
                let length = text.distance(to: equals)
                result.take(variable: UnsafeBufferPointer(start: bytes, count: length), value: bytes + length + 1)
            }
            entry = pointer + 1
        }
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

    /// Reads to the end, also what is over the limit: an unread rest would hold up the connection's end.
    private func readBody(into body: inout [UInt8], announced: String?) -> Problem? {
        let expected = announced.flatMap { Int($0) } ?? 0
        var total = 0
        if expected > 0 || announced == nil {
            let size = min(max(expected, 4096), Request.bodyLimit) + 1
            body = Array(unsafeUninitializedCapacity: size) { buffer, count in
                let start = UnsafeMutableRawPointer(buffer.baseAddress.unsafelyUnwrapped)
                    .assumingMemoryBound(to: CChar.self)
                count = Int(FCGX_GetStr(start, Int32(size), request.pointee.in))
            }
            total = body.count
            if total == size {
                withUnsafeTemporaryAllocation(of: CChar.self, capacity: 8192) { rest in
                    while true {
                        let count = FCGX_GetStr(rest.baseAddress, 8192, request.pointee.in)
                        total += Int(count)
                        if count < 8192 { break }
                    }
                }
            }
        }
        if FCGX_GetError(request.pointee.in) != 0 {
            return Request.bodyFault(announced: announced ?? "more", read: total)
        }
        return Request.bodyFault(announced: announced, read: total)
    }
}
