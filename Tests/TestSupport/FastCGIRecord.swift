/// One record of FastCGI 1.0, well-formed or not.
public struct FastCGIRecord: Sendable {
    public enum Kind: UInt8, Sendable {
        case begin = 1, abort, end, parameters, standardInput, standardOutput, standardError, data
        case getValues, getValuesResult, unknown
    }

    public var version: UInt8 = 1
    public var type: UInt8
    public var requestID: UInt16 = 1
    public var content: [UInt8] = []
    /// What the header says instead of the length of the content.
    public var announcedLength: Int?

    public init(_ kind: Kind, _ content: [UInt8] = []) {
        type = kind.rawValue
        self.content = content
    }

    public var bytes: [UInt8] {
        let length = announcedLength ?? content.count
        return [
            version, type, UInt8(requestID >> 8), UInt8(requestID & 0xFF), UInt8(length >> 8 & 0xFF),
            UInt8(length & 0xFF), 0, 0,
        ] + content
    }

    /// The request for a responder.
    /// - Parameter keepsConnection: the flag FCGI_KEEP_CONN.
    public static func begin(role: UInt16 = 1, keepsConnection: Bool = false) -> FastCGIRecord {
        FastCGIRecord(.begin, [UInt8(role >> 8), UInt8(role & 0xFF), keepsConnection ? 1 : 0, 0, 0, 0, 0, 0])
    }

    /// Names and values in the form of PARAMS and GET_VALUES.
    public static func pairs(_ pairs: [(String, String)]) -> [UInt8] {
        func length(_ text: String) -> [UInt8] {
            let count = text.utf8.count
            if count < 128 { return [UInt8(count)] }
            return [
                UInt8(count >> 24) | 0x80, UInt8(count >> 16 & 0xFF), UInt8(count >> 8 & 0xFF), UInt8(count & 0xFF),
            ]
        }
        return pairs.flatMap { name, value in length(name) + length(value) + Array(name.utf8) + Array(value.utf8) }
    }

    /// A question of the gateway to the process itself.
    public static func getValues(_ names: [String]) -> FastCGIRecord {
        var record = FastCGIRecord(.getValues, pairs(names.map { ($0, "") }))
        record.requestID = 0
        return record
    }

    /// Records of one stream, each of at most so many bytes, and the empty one that ends it.
    public static func stream(_ kind: Kind, _ content: [UInt8], pieces: Int = 65_535) -> [FastCGIRecord] {
        stride(from: 0, to: content.count, by: pieces).map { start in
            FastCGIRecord(kind, Array(content[start..<min(start + pieces, content.count)]))
        } + [FastCGIRecord(kind)]
    }
}

/// What a FastCGI process answered.
public struct FastCGIResponse: ReceivedResponse, Sendable {
    public let status: Int
    public let headers: HTTPFields
    public let body: [UInt8]
    /// What it wrote on the stream for errors.
    public let errors: [UInt8]

    /// Reads the head and body of a CGI answer (RFC 3875, section 6).
    /// - Throws: when there is no head.
    public init(cgi output: [UInt8], errors: [UInt8] = []) throws {
        guard let end = output.firstRange(of: Array("\r\n\r\n".utf8)) else {
            throw BrokenMessage("no CGI head in \(output.count) bytes")
        }
        let text = String(decoding: output[..<end.lowerBound], as: UTF8.self)
        headers = HTTPFields(lines: text.split(separator: "\r\n"))
        status = headers["Status"].flatMap { Int($0.prefix(3)) } ?? 200
        body = Array(output[end.upperBound...])
        self.errors = errors
    }
}
