import Glibc
import Synchronization

/// What one worker has in hand, as the process's watchdog sees it.
///
/// `@unchecked Sendable`: the worker writes the invocation before `limit` tells of it. The watchdog reads it after it
/// has taken it out of `limit`, and the worker that it was taken from writes no more.
package final class Watch: @unchecked Sendable {
    struct Invocation {
        /// On the monotonic clock, in nanoseconds.
        let start: UInt64
        let requestID: String
        /// What is handled, under its name in the log.
        let subject: (name: StaticString, value: String)
    }

    private let timeLimitNanoseconds: UInt64
    private var invocation: Invocation?
    /// When the time of the invocation in hand is up.
    private let limit = Atomic<UInt64>(Watch.nothing)
    /// An invocation that was past its limit at the last look, by that limit, and at how many looks it was.
    private var suspect = (limit: Watch.nothing, looks: 0)
    /// Whether the worker was given up. For the watchdog only, like `suspect`.
    private(set) var isOverdue = false

    private static let nothing = UInt64.max
    private static let givenUp = UInt64.max - 1

    package init(_ process: Settings.Process) {
        timeLimitNanoseconds = UInt64(process.timeoutMilliseconds) * 1_000_000
    }

    /// The worker begins an invocation; `end` follows.
    /// - Parameters:
    ///   - start: nanoseconds on the monotonic clock, from which the time limit counts.
    ///   - subject: what it handles, under its name in the log.
    package func begin(start: UInt64, requestID: String, subject name: StaticString, _ value: String) {
        invocation = Invocation(start: start, requestID: requestID, subject: (name, value))
        limit.store(start + timeLimitNanoseconds, ordering: .releasing)
    }

    /// The invocation is over, if one was begun. Does not return when it was given up: the process ends without its
    /// worker.
    package func end() {
        guard limit.exchange(Self.nothing, ordering: .acquiringAndReleasing) == Self.givenUp else { return }
        while true { pause() }
    }

    /// The watchdog looks, once a second.
    /// - Returns: the invocation that it gives up at this look.
    func look() -> Invocation? {
        let limit = limit.load(ordering: .relaxed)
        guard limit <= Clock.monotonicNanoseconds() else { return nil }
        if limit != suspect.limit { suspect = (limit, 0) }
        suspect.looks += 1
        guard suspect.looks > Self.grace,
            self.limit.compareExchange(
                expected: limit, desired: Self.givenUp, ordering: .acquiringAndReleasing
            ).exchanged
        else { return nil }
        isOverdue = true
        return invocation
    }

    /// Looks for which an invocation may be past its limit: 5 seconds. The gateway has given up after two; a charge
    /// records what came of it for a second and a half, a statement is cancelled within one. They are looks and not
    /// time on a clock, which goes on while the whole process is stopped: its workers get them after that.
    static let grace = 5
}
