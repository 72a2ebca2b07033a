/// A statement with its values bound: what is interpolated becomes a parameter, never text.
///
/// ```swift
/// let sql: SQL = "SELECT name FROM club WHERE id = \(id)"   // text "… WHERE id = $1", parameters [id]
/// ```
///
/// The text is the key of the connection's prepared statements, so it must be static: vary values, not text.
public struct SQL: ExpressibleByStringInterpolation, Sendable {
    public let text: String
    /// Parameters in PostgreSQL's text format; `nil` is NULL.
    public let parameters: [String?]

    public init(stringLiteral value: String) {
        text = value
        parameters = []
    }

    public init(stringInterpolation: StringInterpolation) {
        text = stringInterpolation.text
        parameters = stringInterpolation.parameters
    }

    public struct StringInterpolation: StringInterpolationProtocol {
        var text = ""
        var parameters: [String?] = []

        public init(literalCapacity: Int, interpolationCount: Int) {
            text.reserveCapacity(literalCapacity + interpolationCount * 3)
            parameters.reserveCapacity(interpolationCount)
        }

        public mutating func appendLiteral(_ literal: String) { text += literal }

        public mutating func appendInterpolation(_ value: some PostgresValue) {
            parameters.append(value.postgresText)
            text += "$\(parameters.count)"
        }

        public mutating func appendInterpolation(_ value: (some PostgresValue)?) {
            parameters.append(value?.postgresText)
            text += "$\(parameters.count)"
        }

        /// Text, no parameter. Only for text of our own, such as one of two tables' names; never for input.
        public mutating func appendInterpolation(unsafeText: String) { text += unsafeText }

        /// One parameter that is an array; `nil` elements are NULL.
        public mutating func appendInterpolation<Value: PostgresValue>(_ values: [Value?]) {
            parameters.append(arrayText(values.map { $0?.postgresText }))
            text += "$\(parameters.count)"
        }
    }
}

/// An array in PostgreSQL's text format: every element quoted, so that none is taken for NULL or a delimiter.
private func arrayText(_ elements: [String?]) -> String {
    let quote = UInt8(ascii: "\"")
    let escape = UInt8(ascii: "\\")
    var text = Array("{".utf8)
    for element in elements {
        if text.count > 1 { text.append(UInt8(ascii: ",")) }
        guard let element else {
            text.append(contentsOf: "NULL".utf8)
            continue
        }
        text.append(quote)
        for byte in element.utf8 {
            if byte == quote || byte == escape { text.append(escape) }
            text.append(byte)
        }
        text.append(quote)
    }
    text.append(UInt8(ascii: "}"))
    return String(decoding: text, as: UTF8.self)
}

/// A type that travels as a parameter and comes back as a column, in PostgreSQL's text format.
public protocol PostgresValue: PostgresColumn {
    /// The parameter. It must hold no NUL: PostgreSQL's text has none.
    var postgresText: String { get }
    /// `nil` when the column's text is not such a value.
    init?(postgresText: String)
}

extension String: PostgresValue {
    public var postgresText: String { self }
    public init?(postgresText: String) { self = postgresText }
}

extension Int: PostgresValue {
    public var postgresText: String { String(self) }
    public init?(postgresText: String) { self.init(postgresText) }
}

extension Double: PostgresValue {
    public var postgresText: String { String(self) }
    public init?(postgresText: String) { self.init(postgresText) }
}

extension Bool: PostgresValue {
    public var postgresText: String { self ? "t" : "f" }
    public init?(postgresText: String) { self = postgresText == "t" }
}
