internal import FoundationEssentials

/// What a handler answers.
public struct HTTPResponse: Sendable {
    public enum Body: Sendable {
        case bytes([UInt8])
        /// Written piece by piece while it is made. The head is sent with the first piece, so an error thrown before
        /// any is answered as a problem; one thrown after it breaks the connection, and no client takes half for all.
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

    public static func text(_ text: String, status: Int = 200) -> HTTPResponse {
        HTTPResponse(
            status: status, headers: [("Content-Type", "text/plain; charset=utf-8")], body: .bytes(Array(text.utf8)))
    }

    public func with(header name: String, _ value: String) -> HTTPResponse {
        var copy = self
        copy.headers.append((name, value))
        return copy
    }
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

/// JSON as the whole product writes and reads it.
public enum JSON {
    /// Members in alphabetical order, slashes not escaped.
    public static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value))
    }

    public static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
        try JSONDecoder().decode(type, from: Data(bytes))
    }

    /// The text as a JSON string, quotes included.
    public static func quote(_ text: String) -> String {
        var bytes: [UInt8] = []
        append(quoted: text, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// - Parameter limit: bytes, about; a longer text is cut and ends with an ellipsis.
    static func append(quoted text: String, to bytes: inout [UInt8], limit: Int = .max) {
        bytes.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { utf8 in
            if utf8.count <= limit, !utf8.contains(where: mustEscape) { return bytes.append(contentsOf: utf8) }
            let start = bytes.count
            for byte in utf8 {
                if bytes.count - start >= limit, byte & 0xC0 != 0x80 { return bytes.append(contentsOf: "…".utf8) }
                append(byte, to: &bytes)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private static func mustEscape(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    private static func append(_ byte: UInt8, to bytes: inout [UInt8]) {
        guard mustEscape(byte) else { return bytes.append(byte) }
        bytes.append(UInt8(ascii: "\\"))
        if byte >= 0x20 { return bytes.append(byte) }
        bytes.append(contentsOf: "u00".utf8)
        bytes.append(hexDigits[Int(byte >> 4)])
        bytes.append(hexDigits[Int(byte & 15)])
    }

    private static let hexDigits = Array("0123456789abcdef".utf8)
}
