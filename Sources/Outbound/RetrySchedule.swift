/// Pauses between the tries of one call: each random between nothing and a bound that grows, so that callers who failed
/// together do not come back together.
enum RetrySchedule {
    /// Tries of one call, the first included.
    static let tries = 4

    /// The bound after so many failed tries, from 1: 50 ms, 200 ms, 800 ms.
    static func boundMilliseconds(after failures: Int) -> Int { 50 << (2 * (failures - 1)) }

    static func pauseMilliseconds(after failures: Int, using generator: inout some RandomNumberGenerator) -> Int {
        Int.random(in: 0...boundMilliseconds(after: failures), using: &generator)
    }
}
