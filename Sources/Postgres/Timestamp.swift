/// A naive UTC timestamp as the data model keeps it: a column of type `timestamp`, shown as RFC 3339 with `Z`.
public struct Timestamp: Sendable, Equatable, Encodable {
    /// RFC 3339 in UTC, with as many digits of the fraction as PostgreSQL keeps, at most six; what RFC 3339 has no form
    /// for as PostgreSQL writes it.
    public let text: String

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

extension Timestamp: PostgresValue {
    /// PostgreSQL's ISO style, `2026-11-21 03:04:05.678`; `infinity` and what ends in ` BC` stay as they are.
    public init?(postgresText: String) {
        guard !postgresText.hasSuffix(" BC"), let space = postgresText.firstIndex(of: " ") else {
            text = postgresText
            return
        }
        text = postgresText[..<space] + "T" + postgresText[postgresText.index(after: space)...] + "Z"
    }

    /// PostgreSQL reads RFC 3339, and ignores the zone for a naive timestamp.
    public var postgresText: String { text }

    /// A timestamp that the caller has checked: RFC 3339 in UTC.
    public init(utc text: String) { self.text = text }
}
