/// A client that sends exactly what a test says: raw request targets, bodies that break off, clients that leave early.
///
/// Every request has a connection of its own. A value, usable from any thread.
public struct HTTPProbe: Sendable {
    public let port: Int

    /// A client of the server at that port of the loopback address.
    public init(port: Int) { self.port = port }

    /// Sends a request and reads its whole answer.
    ///
    /// Host, `Connection: close` and, when there is a body, Content-Length are added unless `headers` has them.
    /// - Parameter target: goes on the request line as it is, whatever it holds.
    /// - Throws: when there is no connection, or the answer breaks off.
    public func request(
        _ method: String, _ target: String, headers: [(String, String)] = [], body: [UInt8]? = nil
    ) throws -> Response {
        try send(method, target, headers: headers, body: body).answer(isHead: method == "HEAD")
    }

    public func request(
        _ method: String, _ target: String, headers: [(String, String)] = [], json: String
    ) throws -> Response {
        let type =
            headers.contains { $0.0.lowercased() == "content-type" } ? [] : [("Content-Type", "application/json")]
        return try request(method, target, headers: headers + type, body: Array(json.utf8))
    }

    /// Sends a request and leaves without reading a byte of the answer.
    public func abandon(
        _ method: String, _ target: String, headers: [(String, String)] = [], body: [UInt8]? = nil
    ) throws {
        try send(method, target, headers: headers, body: body).leave()
    }

    /// Sends a request; the answer can be read later, or never.
    public func send(
        _ method: String, _ target: String, headers: [(String, String)] = [], body: [UInt8]? = nil
    ) throws -> HTTPExchange {
        let given = Set(headers.map { $0.0.lowercased() })
        var head = "\(method) \(target) HTTP/1.1\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        if !given.contains("host") { head += "Host: 127.0.0.1:\(port)\r\n" }
        if !given.contains("connection") { head += "Connection: close\r\n" }
        if let body, !given.contains("content-length"), !given.contains("transfer-encoding") {
            head += "Content-Length: \(body.count)\r\n"
        }
        return try send(raw: Array((head + "\r\n").utf8) + (body ?? []))
    }

    /// Sends bytes that need not be a whole request, or one at all.
    public func send(raw bytes: [UInt8]) throws -> HTTPExchange {
        let socket = try StreamSocket.connect(port: port)
        try socket.send(bytes)
        return HTTPExchange(socket: socket)
    }
}

/// A request that was sent.
public struct HTTPExchange: Sendable {
    /// For what a test does with the connection itself: send more, end sending, reset.
    public let socket: StreamSocket

    public init(socket: StreamSocket) { self.socket = socket }

    /// Reads the answer.
    /// - Parameter isHead: whether it should have no body, whatever it announces. What comes all the same, up to the
    ///   end of the connection, is its body.
    public func answer(isHead: Bool = false) throws -> HTTPProbe.Response {
        defer { socket.close() }
        var reader = HTTPMessageReader(socket)
        guard let (line, fields) = try reader.head() else {
            throw BrokenMessage("the connection ended without an answer")
        }
        let parts = line.split(separator: " ", maxSplits: 2)
        guard parts.count >= 2, parts[0].hasPrefix("HTTP/1."), let status = Int(parts[1]) else {
            throw BrokenMessage("no status line: \(line)")
        }
        let isEmpty = isHead || status == 204 || status == 304
        let announced = isEmpty ? HTTPFields(lines: []) : fields
        return HTTPProbe.Response(status: status, headers: fields, body: try reader.body(announced, untilEnd: true))
    }

    /// Closes the connection without reading.
    public func leave() { socket.close() }
}

extension HTTPProbe {
    public struct Response: ReceivedResponse, Sendable {
        public let status: Int
        public let headers: HTTPFields
        public let body: [UInt8]
    }
}
