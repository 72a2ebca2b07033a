import Glibc
internal import Runtime

/// Something that was to happen did not within the limit.
public struct WaitedInVain: Error, CustomStringConvertible {
    public let description: String
}

/// Waits until a condition holds.
/// - Parameters:
///   - limit: seconds; a guard against hanging, generous because the machine may be busy.
///   - what: ends the sentence "waited in vain for …".
/// - Throws: `WaitedInVain`, and what the condition throws.
public func waitUntil(
    _ what: String, limit: Int = 30, _ condition: () throws -> Bool
) throws {
    let deadline = Deadline.after(milliseconds: limit * 1000)
    while try !condition() {
        if deadline.hasPassed { throw WaitedInVain(description: "waited in vain for \(what), \(limit) s long") }
        usleep(2000)
    }
}

/// Runs `body` on so many threads of its own, all let go at the same moment, and returns what they returned in order of
/// index. The threads may block.
/// - Throws: the error of the lowest index that threw, after all have ended.
public func concurrently<Value: Sendable>(
    _ count: Int, _ body: @escaping @Sendable (Int) throws -> Value
) throws -> [Value] {
    let start = Gate()
    let results = Lock([Int: Result<Value, any Error>]())
    let threads = (0..<count).map { index in
        BlockingThread {
            start.wait()
            let result = Result { try body(index) }
            results.withLock { $0[index] = result }
        }
    }
    start.open()
    threads.forEach { $0.join() }
    let all = results.withLock { $0 }
    return try (0..<count).compactMap { try all[$0]?.get() }
}

/// Starts a thread that nobody joins.
func startThread(_ body: @escaping @Sendable () -> Void) {
    BlockingThread(body).detach()
}

/// Sleeps in short pieces, and no longer than until `isStopped`.
func sleepUnlessStopped(_ milliseconds: Int, _ isStopped: () -> Bool) {
    let deadline = Deadline.after(milliseconds: milliseconds)
    while !deadline.hasPassed, !isStopped() { usleep(UInt32(min(deadline.remainingMilliseconds, 10)) * 1000) }
}

/// A thread for code that blocks, which the threads of the test runner must not. Whoever starts one joins it.
public final class BlockingThread: Sendable {
    private final class Start: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    private let thread: pthread_t

    public init(_ body: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let start = Unmanaged.passRetained(Start(body))
        let result = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body() }
                return nil
            }, start.toOpaque())
        precondition(result == 0, "no thread: \(String(cString: strerror(result)))")
        self.thread = thread
    }

    public func join() { pthread_join(thread, nil) }

    /// Instead of `join`.
    func detach() { pthread_detach(thread) }
}

/// A gate that is closed until it is opened, once and for ever; for behaviour that lasts until a test says so.
public final class Gate: Sendable {
    private let inside: StreamSocket
    private let outside: StreamSocket

    public init() { (inside, outside) = StreamSocket.pair() }

    public func open() { outside.close() }

    /// Waits until it is open, at most two minutes, so that no test hangs.
    /// - Returns: whether it is open.
    @discardableResult
    public func wait(milliseconds: Int = 120_000) -> Bool { inside.waitForInput(milliseconds: milliseconds) }
}
