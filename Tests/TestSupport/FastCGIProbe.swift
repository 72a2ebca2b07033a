/// A FastCGI client in the place of nginx, which can also send what nginx never would; or a function's side of a
/// connection that nginx made.
public final class FastCGIProbe: Sendable {
    /// For half records, early ends and resets.
    public let socket: StreamSocket

    /// Connects to the Unix socket of a function.
    public init(path: String) throws { socket = try StreamSocket.connect(path: path) }

    /// Takes a connection that is there.
    public init(socket: StreamSocket) { self.socket = socket }

    public func send(_ records: [FastCGIRecord]) throws { try socket.send(records.flatMap(\.bytes)) }

    /// The records of a request as nginx sends them.
    /// - Parameters:
    ///   - parameters: replace or follow those that every request has. A value of "" for CONTENT_LENGTH is how nginx
    ///     says that there is none.
    ///   - length: CONTENT_LENGTH, when it is not that of the body.
    public static func records(
        _ method: String, _ target: String, parameters: [(String, String)] = [], body: [UInt8] = [],
        length: Int? = nil, pieces: Int = 65_535
    ) -> [FastCGIRecord] {
        let announced = length ?? body.count
        let standard = [
            ("REQUEST_METHOD", method), ("REQUEST_URI", target), ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("REMOTE_ADDR", "127.0.0.1"), ("CONTENT_TYPE", body.isEmpty ? "" : "application/json"),
            ("CONTENT_LENGTH", announced == 0 && body.isEmpty ? "" : String(announced)),
        ]
        let given = Set(parameters.map(\.0))
        let all = standard.filter { !given.contains($0.0) } + parameters
        return [.begin()] + FastCGIRecord.stream(.parameters, FastCGIRecord.pairs(all))
            + FastCGIRecord.stream(.standardInput, body, pieces: pieces)
    }

    /// Sends a request and reads its answer.
    public func request(
        _ method: String, _ target: String, parameters: [(String, String)] = [], body: [UInt8] = [],
        length: Int? = nil, pieces: Int = 65_535
    ) throws -> FastCGIResponse {
        let records = Self.records(
            method, target, parameters: parameters, body: body, length: length, pieces: pieces)
        // A function that refuses a request early may stop reading it; its answer is there all the same.
        try? send(records)
        return try answer()
    }

    /// Reads records up to END_REQUEST.
    /// - Throws: `BrokenMessage` when the connection ends before it, as after an answer that broke off.
    public func answer() throws -> FastCGIResponse {
        var output: [UInt8] = []
        var errors: [UInt8] = []
        while let (kind, content) = try nextRecord() {
            switch kind {
            case FastCGIRecord.Kind.standardOutput.rawValue: output += content
            case FastCGIRecord.Kind.standardError.rawValue: errors += content
            case FastCGIRecord.Kind.end.rawValue: return try FastCGIResponse(cgi: output, errors: errors)
            default: continue
            }
        }
        throw BrokenMessage("no END_REQUEST after \(output.count) bytes")
    }

    /// The type and content of the next record; `nil` at the end of the connection.
    public func nextRecord() throws -> (type: UInt8, content: [UInt8])? {
        guard let header = try take(8) else { return nil }
        let length = Int(header[4]) << 8 | Int(header[5])
        guard let content = try take(length + Int(header[6])) else { return nil }
        return (header[1], Array(content.prefix(length)))
    }

    /// Exactly so many bytes; `nil` when the connection ends before.
    private func take(_ count: Int) throws -> [UInt8]? {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let piece = try socket.receive(atMost: count - bytes.count)
            if piece.isEmpty { return nil }
            bytes += piece
        }
        return bytes
    }
}
