import Glibc

/// One request of plain CGI (RFC 3875): variables in the environment, the body on standard input.
struct CGITransport: Transport, ~Copyable {
    private var isDone = false

    mutating func next() -> Request? {
        guard !isDone else { return nil }
        isDone = true
        var request = Request()
        var entry = environ
        while let text = entry.pointee {
            let bytes = UnsafeRawPointer(text).assumingMemoryBound(to: UInt8.self)
            if let equals = strchr(text, Int32(UInt8(ascii: "="))) {
                let length = text.distance(to: equals)
                request.take(variable: UnsafeBufferPointer(start: bytes, count: length), value: bytes + length + 1)
            }
            entry += 1
        }
        // A server may offer only the decoded path; it has no escapes left to decode then.
        if getenv("REQUEST_URI") == nil {
            let query = getenv("QUERY_STRING").map { "?" + String(cString: $0) } ?? ""
            request.take(uri: (getenv("PATH_INFO").map { String(cString: $0) } ?? "/") + query)
        }
        let announced = request.headers["content-length"]
        let expected = max(0, announced.flatMap { Int($0) } ?? 0)
        request.body = StandardInput.read(limit: min(expected, Request.bodyLimit + 1))
        request.fault = Request.bodyFault(announced: announced, read: request.body.count)
        return request
    }

    mutating func send(_ response: HTTPResponse, withBody: Bool) throws {
        var sending = ResponseSending()
        try sending.send(response, withBody: withBody, write: StandardOutput.write)
    }
}

package enum StandardInput {
    /// At most so many bytes; fewer when the input ends before.
    package static func read(limit: Int) -> [UInt8] {
        Array(unsafeUninitializedCapacity: limit) { buffer, count in
            count = 0
            while count < limit {
                let read = Glibc.read(STDIN_FILENO, buffer.baseAddress.unsafelyUnwrapped + count, limit - count)
                if read < 0, errno == EINTR { continue }
                guard read > 0 else { break }
                count += read
            }
        }
    }
}

package enum StandardOutput {
    @Sendable package static func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = UnsafeRawBufferPointer(rebasing: rest)
            let written = Glibc.write(STDOUT_FILENO, part.baseAddress, part.count)
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { throw ClientGone() }
            rest = rest.dropFirst(written)
        }
    }
}
