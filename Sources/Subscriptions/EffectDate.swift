public import Postgres
internal import Runtime

/// Reads an effect date: ISO 8601, a date or a date and time, with or without fraction, with or without offset.
public enum EffectDate {
    /// What a text must be, as the end of "effect_date must be …".
    public static let expectation =
        "an ISO 8601 date such as 2026-11-21T03:04:05Z, with or without offset (without = UTC), of the years 1 to 9900"

    /// The instant in UTC; `nil` when the text is not such a date or names a day or time that does not exist. Digits
    /// beyond microseconds are cut.
    public static func parse(_ text: String) -> Timestamp? {
        var rest = DateScanner(text)
        guard var seconds = rest.date()?.secondsSinceEpoch else { return nil }
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
            guard let offset = rest.offset(withoutColon: true) else { return nil }
            seconds -= offset
        }
        guard rest.isAtEnd else { return nil }
        return CivilDate.text(secondsSinceEpoch: seconds, fraction: fraction.prefix(6)).map { Timestamp(utc: $0) }
    }
}
