/// Header fields in the order they came, names compared without case.
public struct HTTPFields: Sendable {
    public let all: [(name: String, value: String)]

    /// The first value of that name.
    public subscript(_ name: String) -> String? { values(name).first }

    public func values(_ name: String) -> [String] {
        let name = name.lowercased()
        return all.filter { $0.name.lowercased() == name }.map(\.value)
    }

    /// Reads the lines of a head, the first of them left out by the caller.
    init(lines: some Sequence<Substring>) {
        all = lines.compactMap { line in
            guard let colon = line.firstIndex(of: ":") else { return nil }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            return (String(line[..<colon]), String(value))
        }
    }
}

/// A message that broke off or is not HTTP.
public struct BrokenMessage: Error, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}

/// Reads HTTP/1.1 messages from a socket.
struct HTTPMessageReader {
    private let socket: StreamSocket
    private var buffer: [UInt8] = []

    init(_ socket: StreamSocket) { self.socket = socket }

    /// The first line and the fields; `nil` when the stream ends before a byte.
    mutating func head() throws -> (line: Substring, fields: HTTPFields)? {
        while true {
            if let end = buffer.firstRange(of: Array("\r\n\r\n".utf8)) {
                let text = String(decoding: buffer[..<end.lowerBound], as: UTF8.self)
                buffer.removeFirst(end.upperBound)
                // A Character is a grapheme: CR and LF are one.
                let lines = text.split(separator: "\r\n", omittingEmptySubsequences: false)
                return (lines[0], HTTPFields(lines: lines.dropFirst()))
            }
            let piece = try socket.receive()
            if piece.isEmpty {
                if buffer.isEmpty { return nil }
                throw BrokenMessage("the head broke off after \(buffer.count) bytes")
            }
            buffer += piece
        }
    }

    /// The body that the fields announce.
    /// - Parameter untilEnd: whether one without a length goes on to the end of the stream, as an answer's does.
    mutating func body(_ fields: HTTPFields, untilEnd: Bool) throws -> [UInt8] {
        if fields["Transfer-Encoding"]?.lowercased() == "chunked" { return try chunks() }
        if let length = fields["Content-Length"] {
            guard let count = Int(length) else { throw BrokenMessage("Content-Length is \(length)") }
            return try take(count)
        }
        guard untilEnd else { return [] }
        defer { buffer = [] }
        return buffer + (try socket.receiveAll())
    }

    private mutating func chunks() throws -> [UInt8] {
        var body: [UInt8] = []
        while true {
            var line: [UInt8] = []
            while !line.suffix(2).elementsEqual("\r\n".utf8) { line += try take(1) }
            let digits = line.prefix { $0 != UInt8(ascii: ";") && $0 != 13 }
            guard let count = Int(String(decoding: digits, as: UTF8.self), radix: 16) else {
                throw BrokenMessage("a chunk of no length")
            }
            body += try take(count)
            _ = try take(2)
            if count == 0 { return body }
        }
    }

    private mutating func take(_ count: Int) throws -> [UInt8] {
        while buffer.count < count {
            let piece = try socket.receive()
            if piece.isEmpty {
                throw BrokenMessage("the body broke off after \(buffer.count) of \(count) bytes")
            }
            buffer += piece
        }
        defer { buffer.removeFirst(count) }
        return Array(buffer[..<count])
    }
}
