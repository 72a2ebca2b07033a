public import Postgres

/// Reads an effect date: ISO 8601, a date or a date and time, with or without fraction, with or without offset.
public enum EffectDate {
    /// What a text must be, as the end of "effect_date must be …".
    public static let expectation =
        "an ISO 8601 date such as 2026-11-21T03:04:05Z, with or without offset (without = UTC), of the years 1 to 9900"

    /// The instant in UTC; `nil` when the text is not such a date or names a day or time that does not exist. Digits
    /// beyond microseconds are cut.
    public static func parse(_ text: String) -> Timestamp? {
        var rest = Scanner(text)
        guard let year = rest.digits(4), rest.take("-"), let month = rest.digits(2), rest.take("-"),
            let day = rest.digits(2), (1...9900).contains(year), (1...12).contains(month),
            (1...daysInMonth(month, year)).contains(day)
        else { return nil }
        var seconds = daysSinceEpoch(year, month, day) * 86_400
        var fraction = ""
        if !rest.isAtEnd {
            guard rest.take("T") || rest.take("t") || rest.take(" "),
                let hour = rest.digits(2), hour < 24, rest.take(":"), let minute = rest.digits(2), minute < 60
            else { return nil }
            seconds += hour * 3600 + minute * 60
            if rest.take(":") {
                guard let second = rest.digits(2), second < 60 else { return nil }
                seconds += second
                if rest.take(".") || rest.take(",") {
                    fraction = rest.allDigits()
                    if fraction.isEmpty { return nil }
                }
            }
            guard let offset = rest.offset() else { return nil }
            seconds -= offset
        }
        guard rest.isAtEnd, let instant = render(seconds, fraction.prefix(6)) else { return nil }
        return instant
    }

    private static func render(_ seconds: Int, _ fraction: Substring) -> Timestamp? {
        let days = seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
        let time = seconds - days * 86_400
        let (year, month, day) = civil(days)
        guard (1...9900).contains(year) else { return nil }
        func padded(_ number: Int, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        return Timestamp(
            utc: "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T\(padded(time / 3600, 2)):"
                + "\(padded(time / 60 % 60, 2)):\(padded(time % 60, 2))"
                + (fraction.isEmpty ? "" : "." + fraction) + "Z")
    }

    // MARK: The proleptic Gregorian calendar, which ISO 8601 and PostgreSQL use

    private static func isLeap(_ year: Int) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

    private static func daysInMonth(_ month: Int, _ year: Int) -> Int {
        month == 2 ? (isLeap(year) ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31
    }

    /// Days before a year that begins in March, so that the leap day is its last: counted from 0000-03-01.
    private static func daysSinceEpoch(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let marchYear = month > 2 ? year : year - 1
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return marchYear * 365 + marchYear / 4 - marchYear / 100 + marchYear / 400 + dayOfYear - 719_468
    }

    private static func civil(_ days: Int) -> (year: Int, month: Int, day: Int) {
        let fromMarch = days + 719_468
        var year = fromMarch * 400 / 146_097
        while daysSinceEpoch(year + 1, 3, 1) <= days { year += 1 }
        while daysSinceEpoch(year, 3, 1) > days { year -= 1 }
        let dayOfYear = days - daysSinceEpoch(year, 3, 1)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        return (month > 2 ? year : year + 1, month, dayOfYear - (153 * marchMonth + 2) / 5 + 1)
    }
}

/// Reads a text from left to right.
private struct Scanner {
    private var rest: Substring.UTF8View

    init(_ text: String) { rest = text[...].utf8 }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard rest.first == UInt8(ascii: character) else { return false }
        rest.removeFirst()
        return true
    }

    /// Exactly so many digits.
    mutating func digits(_ count: Int) -> Int? {
        let part = rest.prefix(count)
        guard part.count == count, part.allSatisfy(Self.isDigit) else { return nil }
        rest = rest.dropFirst(count)
        return part.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
    }

    mutating func allDigits() -> String {
        let part = rest.prefix(while: Self.isDigit)
        rest = rest.dropFirst(part.count)
        return String(Substring(part))
    }

    /// `Z`, `±hh`, `±hhmm`, `±hh:mm` or nothing, in seconds east of UTC.
    mutating func offset() -> Int? {
        if isAtEnd || take("Z") || take("z") { return 0 }
        let isWest = take("-")
        guard isWest || take("+"), let hours = digits(2), hours < 24 else { return nil }
        var seconds = hours * 3600
        if !isAtEnd {
            _ = take(":")
            guard let minutes = digits(2), minutes < 60 else { return nil }
            seconds += minutes * 60
        }
        return isWest ? -seconds : seconds
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
}
