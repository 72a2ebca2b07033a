/// Pauses between attempts that fail: each twice as long as the one before, with a random part so that processes that
/// failed together do not come back together.
struct Backoff {
    private let range: ClosedRange<Int>
    private var current: Int

    init(milliseconds range: ClosedRange<Int>) {
        self.range = range
        current = range.lowerBound
    }

    mutating func next() -> Int {
        defer { current = min(2 * current, range.upperBound) }
        return Int.random(in: current / 2...current)
    }

    mutating func reset() { current = range.lowerBound }
}
