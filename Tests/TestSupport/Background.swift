import Foundation
import Runtime

/// Work on a thread of its own, for tests that need several things at the same time: a test that blocked Swift's
/// concurrency pool would keep other tests from running.
public final class Background<Value: Sendable>: Sendable {
    private let result = Lock<Result<Value, any Error>?>(nil)
    private let done = DispatchSemaphore(value: 0)

    /// Starts `body` at once.
    public init(_ body: @escaping @Sendable () throws -> Value) {
        let thread = Thread { [result, done] in
            let outcome = Result(catching: body)
            result.withLock { $0 = outcome }
            done.signal()
        }
        thread.stackSize = 1 << 20
        thread.start()
    }

    /// Waits for the end of the work and gives what it returned or threw.
    public func value() throws -> Value {
        done.wait()
        done.signal()
        guard let result = result.withLock({ $0 }) else { throw Eventually.Failure(what: "the work's result") }
        return try result.get()
    }
}
