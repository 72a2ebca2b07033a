public import Postgres
public import Runtime

/// Which subscriptions may be charged now: ACTIVE, in a club that is ACTIVE or CLOSED.
public struct Eligibility: Sendable {
    let database: Database

    public init(_ database: Database) { self.database = database }

    /// At most `limit` ids greater than `after`, in order of id.
    public func page(after: String?, limit: Int, deadline: Deadline) throws -> [String] {
        try database.execute(
            """
            SELECT id FROM eligible_subscription WHERE id > coalesce(\(after)::text, '') ORDER BY id LIMIT \(limit)
            """, deadline: deadline
        ).map { try $0.decode(String.self) }
    }

    /// Writes all of them as a JSON array while the database delivers them; memory does not grow with their number.
    /// Nothing is written when the database fails before the first row.
    public func writeAll(to writer: any BodyWriter, deadline: Deadline) throws {
        try database.withConnection(deadline: deadline) { connection in
            var array = JSONArrayOfCopiedText()
            try connection.copyOut("COPY (SELECT id FROM eligible_subscription) TO STDOUT", deadline: deadline) { row in
                try array.append(copied: row, to: writer)
            }
            try array.finish(to: writer)
        }
    }
}

/// Collects one-column rows in COPY's text format as JSON strings, and hands them on in pieces of about 32 KiB.
struct JSONArrayOfCopiedText {
    private var buffer: [UInt8] = [UInt8(ascii: "[")]
    private var isFirst = true
    private static let pieceSize = 32 << 10

    init() { buffer.reserveCapacity(Self.pieceSize + 4096) }

    /// `row` ends with a newline; what COPY escapes with a backslash is undone, what JSON must escape is escaped.
    mutating func append(copied row: UnsafeRawBufferPointer, to writer: any BodyWriter) throws {
        if !isFirst { buffer.append(UInt8(ascii: ",")) }
        isFirst = false
        let text = UnsafeRawBufferPointer(rebasing: row.dropLast())
        if text.allSatisfy({ $0 >= 0x20 && $0 != UInt8(ascii: "\\") && $0 != UInt8(ascii: "\"") }) {
            buffer.append(UInt8(ascii: "\""))
            buffer.append(contentsOf: text)
            buffer.append(UInt8(ascii: "\""))
        } else {
            buffer.append(contentsOf: JSON.quote(Self.unescape(text)).utf8)
        }
        if buffer.count >= Self.pieceSize { try flush(to: writer) }
    }

    mutating func finish(to writer: any BodyWriter) throws {
        buffer.append(UInt8(ascii: "]"))
        try flush(to: writer)
    }

    private mutating func flush(to writer: any BodyWriter) throws {
        try buffer.withUnsafeBytes { try writer.write($0) }
        buffer.removeAll(keepingCapacity: true)
    }

    /// The escapes that COPY writes: `\b \f \n \r \t \v` and `\\`.
    private static func unescape(_ text: UnsafeRawBufferPointer) -> String {
        var bytes: [UInt8] = []
        var rest = text.makeIterator()
        while let byte = rest.next() {
            guard byte == UInt8(ascii: "\\"), let escaped = rest.next() else {
                bytes.append(byte)
                continue
            }
            switch escaped {
            case UInt8(ascii: "b"): bytes.append(8)
            case UInt8(ascii: "f"): bytes.append(12)
            case UInt8(ascii: "n"): bytes.append(10)
            case UInt8(ascii: "r"): bytes.append(13)
            case UInt8(ascii: "t"): bytes.append(9)
            case UInt8(ascii: "v"): bytes.append(11)
            default: bytes.append(escaped)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
