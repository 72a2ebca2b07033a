/// A length of time as people write it: a whole number and one of s, m, h and d.
public struct TimeSpan: Sendable, Equatable, CustomStringConvertible {
    public let seconds: Int

    public init(seconds: Int) { self.seconds = seconds }

    /// `90s`, `15m`, `1h`, `7d`, at most a hundred years; `nil` for anything else.
    public init?(_ text: String) {
        let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        let digits = text.dropLast()
        guard let unit = text.last.flatMap({ units[$0] }), !digits.isEmpty,
            digits.utf8.allSatisfy({ $0.isASCIIDigit }), let number = Int(digits), number <= 36_500 * 86_400 / unit
        else { return nil }
        seconds = number * unit
    }

    /// In the largest of seconds, minutes and hours that is whole: `5s`, `90s`, `2m`, `24h`.
    public var description: String {
        let (unit, letter) = [(3600, "h"), (60, "m")].first { seconds % $0.0 == 0 } ?? (1, "s")
        return "\(seconds / unit)\(letter)"
    }
}
