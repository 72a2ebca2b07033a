public import Postgres

/// An instant in UTC, to the microsecond as PostgreSQL keeps it, of the years 1 to 9900.
public struct Instant: Sendable, Equatable, Comparable, Encodable {
    /// Since 1970-01-01T00:00:00Z.
    let microseconds: Int

    init(microseconds: Int) { self.microseconds = microseconds }

    /// What a text must be, as the end of a sentence.
    public static let expectation = "an RFC 3339 time such as 2026-11-21T03:04:05Z, of the years 1 to 9900"

    /// Reads RFC 3339; the offset may be absent, which means UTC. Digits beyond microseconds are cut.
    /// - Returns: `nil` when the text is not such a time, or names one that does not exist.
    public init?(_ text: String) {
        var rest = text[...].utf8
        guard let year = rest.number(4), rest.take("-"), let month = rest.number(2), rest.take("-"),
            let day = rest.number(2), rest.take("T") || rest.take("t") || rest.take(" "),
            let hour = rest.number(2), rest.take(":"), let minute = rest.number(2), rest.take(":"),
            let second = rest.number(2), Civil(year: year, month: month, day: day).exists,
            hour < 24, minute < 60, second < 60, let fraction = rest.fraction(), let offset = rest.offset(),
            rest.isEmpty
        else { return nil }
        let days = Civil(year: year, month: month, day: day).daysSinceEpoch
        microseconds = (days * 86_400 + hour * 3600 + minute * 60 + second - offset) * 1_000_000 + fraction
        guard Civil.years.contains(Civil(daysSinceEpoch: dividedDown(microseconds, 86_400_000_000)).year) else {
            return nil
        }
    }

    /// RFC 3339 with `Z`, and no more digits of the fraction than it needs.
    public var text: String {
        let days = dividedDown(microseconds, 86_400_000_000)
        let time = microseconds - days * 86_400_000_000
        let date = Civil(daysSinceEpoch: days)
        let seconds = time / 1_000_000
        var fraction = Substring(padded(time % 1_000_000, 6))
        while fraction.last == "0" { fraction.removeLast() }
        return "\(padded(date.year, 4))-\(padded(date.month, 2))-\(padded(date.day, 2))T\(padded(seconds / 3600, 2)):"
            + "\(padded(seconds / 60 % 60, 2)):\(padded(seconds % 60, 2))\(fraction.isEmpty ? "" : "." + fraction)Z"
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }

    public static func < (left: Instant, right: Instant) -> Bool { left.microseconds < right.microseconds }
}

extension Instant: PostgresValue, PostgresColumn {
    public var postgresText: String { text }
    /// A `timestamptz` in PostgreSQL's ISO style, in any zone.
    public init?(postgresText: String) { self.init(postgresText) }
}

private func dividedDown(_ number: Int, _ divisor: Int) -> Int {
    number >= 0 ? number / divisor : (number - divisor + 1) / divisor
}

private func padded(_ number: Int, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
}

/// A day of the proleptic Gregorian calendar.
private struct Civil {
    let year: Int
    let month: Int
    let day: Int

    static let years = 1...9900

    init(year: Int, month: Int, day: Int) { (self.year, self.month, self.day) = (year, month, day) }

    /// Counted in eras of 400 years, and in years that begin in March, so that the leap day is the last of its year.
    init(daysSinceEpoch: Int) {
        let days = daysSinceEpoch + 719_468
        let era = dividedDown(days, 146_097)
        let dayOfEra = days - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }

    var daysSinceEpoch: Int {
        let marchYear = month > 2 ? year : year - 1
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return marchYear * 365 + marchYear / 4 - marchYear / 100 + marchYear / 400 + dayOfYear - 719_468
    }

    var exists: Bool {
        guard Self.years.contains(year), (1...12).contains(month), day >= 1 else { return false }
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return day <= (month == 2 ? (isLeap ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31)
    }
}

extension Substring.UTF8View {
    fileprivate mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard first == UInt8(ascii: character) else { return false }
        removeFirst()
        return true
    }

    private mutating func digits(atMost count: Int) -> [Int] {
        let part = prefix(count).prefix { (0x30...0x39).contains($0) }
        self = dropFirst(part.count)
        return part.map { Int($0) - 0x30 }
    }

    /// Of exactly so many digits.
    fileprivate mutating func number(_ count: Int) -> Int? {
        let digits = digits(atMost: count)
        return digits.count == count ? digits.reduce(0) { $0 * 10 + $1 } : nil
    }

    /// In microseconds; 0 when there is none.
    fileprivate mutating func fraction() -> Int? {
        guard take(".") else { return 0 }
        let digits = digits(atMost: count)
        guard !digits.isEmpty else { return nil }
        return (digits + [0, 0, 0, 0, 0, 0]).prefix(6).reduce(0) { $0 * 10 + $1 }
    }

    /// `Z`, `±hh`, `±hh:mm` or nothing, in seconds east of UTC.
    fileprivate mutating func offset() -> Int? {
        if isEmpty || take("Z") || take("z") { return 0 }
        let isWest = take("-")
        guard isWest || take("+"), let hours = number(2), hours < 24 else { return nil }
        guard !isEmpty else { return (isWest ? -hours : hours) * 3600 }
        guard take(":"), let minutes = number(2), minutes < 60 else { return nil }
        return (isWest ? -1 : 1) * (hours * 3600 + minutes * 60)
    }
}
