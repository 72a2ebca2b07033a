/// A day of the proleptic Gregorian calendar, which ISO 8601 and PostgreSQL use, of the years 1 to 9999.
package struct CivilDate {
    private let year: Int
    private let month: Int
    private let day: Int

    private static let years = 1...9999
    private static let secondsPerDay = 86_400

    /// - Returns: `nil` for a day that does not exist, or is of another year.
    package init?(year: Int, month: Int, day: Int) {
        guard Self.years.contains(year), (1...12).contains(month), day >= 1 else { return nil }
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        guard day <= (month == 2 ? (isLeap ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31) else { return nil }
        (self.year, self.month, self.day) = (year, month, day)
    }

    /// Counted in eras of 400 years, and in years that begin in March, so that the leap day is the last of its year.
    /// - Returns: `nil` for a day of another year.
    private init?(daysSinceEpoch: Int) {
        let days = daysSinceEpoch + 719_468
        let era = days.dividedDown(by: 146_097)
        let dayOfEra = days - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        self.init(
            year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month: month,
            day: dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
    }

    private var daysSinceEpoch: Int {
        let marchYear = month > 2 ? year : year - 1
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return marchYear * 365 + marchYear / 4 - marchYear / 100 + marchYear / 400 + dayOfYear - 719_468
    }

    /// Of its midnight, since 1970-01-01T00:00:00Z.
    package var secondsSinceEpoch: Int { daysSinceEpoch * Self.secondsPerDay }

    /// RFC 3339 with `Z`.
    /// - Parameter fraction: digits, or nothing.
    /// - Returns: `nil` for an instant of a year outside 1 to 9999.
    package static func text(secondsSinceEpoch seconds: Int, fraction: some StringProtocol) -> String? {
        let days = seconds.dividedDown(by: secondsPerDay)
        guard let date = CivilDate(daysSinceEpoch: days) else { return nil }
        let time = seconds - days * secondsPerDay
        return "\(date.year.padded(4))-\(date.month.padded(2))-\(date.day.padded(2))T\((time / 3600).padded(2)):"
            + "\((time / 60 % 60).padded(2)):\((time % 60).padded(2))\(fraction.isEmpty ? "" : "." + fraction)Z"
    }
}

extension Int {
    package func dividedDown(by divisor: Int) -> Int {
        self >= 0 ? self / divisor : (self - divisor + 1) / divisor
    }

    package func padded(_ width: Int) -> String {
        let digits = String(self)
        return String(repeating: "0", count: Swift.max(0, width - digits.count)) + digits
    }
}

/// Reads a date and time from left to right. What does not fit is left where it is.
package struct DateScanner {
    private var rest: Substring.UTF8View

    package init(_ text: String) { rest = text[...].utf8 }

    package var isAtEnd: Bool { rest.isEmpty }

    package var isAtDigit: Bool { rest.first?.isASCIIDigit ?? false }

    package mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard rest.first == UInt8(ascii: character) else { return false }
        rest.removeFirst()
        return true
    }

    /// Exactly so many digits.
    package mutating func digits(_ count: Int) -> Int? {
        let part = rest.prefix(count)
        guard part.count == count, part.allSatisfy({ $0.isASCIIDigit }) else { return nil }
        rest = rest.dropFirst(count)
        return part.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
    }

    package mutating func allDigits() -> String {
        let part = rest.prefix { $0.isASCIIDigit }
        rest = rest.dropFirst(part.count)
        return String(Substring(part))
    }

    /// `yyyy-mm-dd`, or `yyyymmdd` in the basic form, of a day that exists.
    package mutating func date(isBasic: Bool = false) -> CivilDate? {
        guard let year = digits(4), isBasic || take("-"), let month = digits(2), isBasic || take("-"),
            let day = digits(2)
        else { return nil }
        return CivilDate(year: year, month: month, day: day)
    }

    /// `Z`, `±hh`, `±hh:mm` or nothing, in seconds east of UTC.
    /// - Parameter withoutColon: whether `±hhmm` will do, too.
    package mutating func offset(withoutColon: Bool) -> Int? {
        if isAtEnd || take("Z") || take("z") { return 0 }
        let isWest = take("-")
        guard isWest || take("+"), let hours = digits(2), hours < 24 else { return nil }
        var seconds = hours * 3600
        if !isAtEnd {
            guard take(":") || withoutColon, let minutes = digits(2), minutes < 60 else { return nil }
            seconds += minutes * 60
        }
        return isWest ? -seconds : seconds
    }
}
