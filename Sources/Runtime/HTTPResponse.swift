/// What a handler answers. What could not be passed on is a 500 in its place: a status outside 200 to 599, a header
/// name that is not a token, a control character in a value, a head over 8000 bytes, a body with 204 or 304.
public struct HTTPResponse: Sendable {
    public enum Body: Sendable {
        case bytes([UInt8])
        /// Written piece by piece while it is made. The head is sent with the first piece, so an error thrown before
        /// any is answered as a problem; one thrown after it breaks the connection, and no client takes half for all.
        /// For HEAD it is stopped at the first piece.
        case stream(@Sendable (any BodyWriter) throws -> Void)
    }

    public var status: Int
    public var headers: [(name: String, value: String)]
    public var body: Body

    public init(status: Int = 200, headers: [(name: String, value: String)] = [], body: Body = .bytes([])) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// A JSON answer; members in alphabetical order, so that equal values are equal bytes.
    public static func json(_ value: some Encodable, status: Int = 200) throws -> HTTPResponse {
        .json(bytes: try JSON.encode(value), status: status)
    }

    /// JSON that is already text.
    public static func json(bytes: [UInt8], status: Int = 200) -> HTTPResponse {
        HTTPResponse(status: status, headers: [("Content-Type", "application/json")], body: .bytes(bytes))
    }

    /// A plain text in UTF-8.
    public static func text(_ text: String, status: Int = 200) -> HTTPResponse {
        HTTPResponse(
            status: status, headers: [("Content-Type", "text/plain; charset=utf-8")], body: .bytes(Array(text.utf8)))
    }

    public func with(header name: String, _ value: String) -> HTTPResponse {
        var copy = self
        copy.headers.append((name, value))
        return copy
    }

    /// With where the next page of a list is (RFC 8288).
    /// - Parameter target: path and query, percent-encoded.
    public func with(next target: String) -> HTTPResponse { with(header: "Link", "<\(target)>; rel=\"next\"") }
}

/// Where a streamed body goes.
public protocol BodyWriter {
    /// Sends the bytes, or keeps a copy of them to send later.
    /// - Throws: `ClientGone` when nobody reads any more: let it pass, there is nobody to answer.
    func write(_ bytes: UnsafeRawBufferPointer) throws
}

extension BodyWriter {
    public func write(_ text: StaticString) throws {
        try write(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }
}

/// The client closed the connection before it had the whole answer.
public struct ClientGone: Error {}
