public import Postgres
import Runtime

/// An instant in UTC, to the microsecond as PostgreSQL keeps it, of the years 1 to 9999.
public struct Instant: Sendable, Equatable, Comparable, Encodable {
    /// Since 1970-01-01T00:00:00Z.
    let microseconds: Int

    init(microseconds: Int) { self.microseconds = microseconds }

    /// What a text must be, as the end of a sentence.
    public static let expectation = "an RFC 3339 time such as 2026-11-21T03:04:05Z, of the years 1 to 9999"

    /// Reads RFC 3339; the offset may be absent, which means UTC. Digits beyond microseconds are cut, and a leap second,
    /// of which PostgreSQL knows none, is the second after it.
    /// - Returns: `nil` when the text is not such a time, or names one that does not exist.
    public init?(_ text: String) {
        var rest = DateScanner(text)
        guard let date = rest.date(), rest.take("T") || rest.take("t") || rest.take(" "),
            let hour = rest.digits(2), hour < 24, rest.take(":"), let minute = rest.digits(2), minute < 60,
            rest.take(":"), let second = rest.digits(2), second <= 60
        else { return nil }
        var fraction = "0"
        if rest.take(".") { fraction = rest.allDigits() }
        guard !fraction.isEmpty, let offset = rest.offset(withoutColon: false), rest.isAtEnd else { return nil }
        let seconds = date.secondsSinceEpoch + hour * 3600 + minute * 60 + second - offset
        guard let text = CivilDate.text(secondsSinceEpoch: seconds, fraction: ""),
            // The last of a month.
            second < 60 || text.hasSuffix("-01T00:00:00Z")
        else { return nil }
        let digits = fraction.prefix(6)
        microseconds = seconds * 1_000_000 + (Int(digits + String(repeating: "0", count: 6 - digits.count)) ?? 0)
    }

    /// RFC 3339 with `Z`, and no more digits of the fraction than it needs.
    public var text: String {
        let seconds = microseconds.dividedDown(by: 1_000_000)
        var fraction = Substring((microseconds - seconds * 1_000_000).padded(6))
        while fraction.last == "0" { fraction.removeLast() }
        guard let text = CivilDate.text(secondsSinceEpoch: seconds, fraction: fraction) else {
            preconditionFailure("an instant is of the years 1 to 9999")
        }
        return text
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }

    public static func < (left: Instant, right: Instant) -> Bool { left.microseconds < right.microseconds }
}

extension Instant: PostgresValue {
    public var postgresText: String { text }
    /// A `timestamptz` in PostgreSQL's ISO style, in any zone.
    public init?(postgresText: String) { self.init(postgresText) }
}
