public import Postgres
import Runtime

/// Reads an effect date: ISO 8601, a date or a date and time, with or without fraction, with or without offset.
public enum EffectDate {
    /// What a text must be, as the end of "effect_date must be …".
    public static let expectation = """
        an ISO 8601 date such as 2026-11-21T03:04:05Z, with or without offset (without = UTC), of the years 1 to 9999, \
        which an automatic return must not leave
        """

    /// The instant in UTC; `nil` when the text is not such a date or names a day or time that does not exist. Digits
    /// beyond microseconds are cut.
    /// - Parameter days: what is going to be added; `nil` is the answer too when that leads beyond the year 9999.
    public static func parse(_ text: String, adding days: Int = 0) -> Timestamp? {
        var rest = DateScanner(text)
        let isBasic = text.utf8.dropFirst(4).first != UInt8(ascii: "-")
        guard var seconds = rest.date(isBasic: isBasic)?.secondsSinceEpoch else { return nil }
        var fraction = ""
        if !rest.isAtEnd {
            guard rest.take("T") || rest.take("t") || rest.take(" "),
                let time = time(&rest, isBasic: isBasic, fraction: &fraction),
                let offset = rest.offset(withoutColon: true)
            else { return nil }
            seconds += time - offset
        }
        guard rest.isAtEnd, CivilDate.text(secondsSinceEpoch: seconds + days * 86_400, fraction: "") != nil
        else { return nil }
        return CivilDate.text(secondsSinceEpoch: seconds, fraction: fraction.prefix(6)).map { Timestamp(utc: $0) }
    }

    /// Seconds since midnight: hours, hours and minutes, or all three and a fraction; 24 with zeros is the day's end.
    private static func time(_ rest: inout DateScanner, isBasic: Bool, fraction: inout String) -> Int? {
        guard let hour = rest.digits(2) else { return nil }
        var seconds = hour * 3600
        for unit in [60, 1] where isBasic ? rest.isAtDigit : rest.take(":") {
            guard let number = rest.digits(2), number < 60 else { return nil }
            seconds += number * unit
            guard unit == 1, rest.take(".") || rest.take(",") else { continue }
            fraction = rest.allDigits()
            if fraction.isEmpty { return nil }
        }
        let isEndOfDay = hour == 24 && seconds == 86_400 && fraction.allSatisfy { $0 == "0" }
        return hour < 24 || isEndOfDay ? seconds : nil
    }
}
