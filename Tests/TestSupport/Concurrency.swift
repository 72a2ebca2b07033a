import Glibc
import Runtime

/// Runs `body` on so many threads of its own, all let go at the same moment, and returns what they returned in order of
/// index. The threads may block.
/// - Throws: the error of the lowest index that threw, after all have ended.
public func concurrently<Value: Sendable>(
    _ count: Int, _ body: @escaping @Sendable (Int) throws -> Value
) throws -> [Value] {
    let start = Gate()
    let threads = (0..<count).map { index in
        Background {
            start.wait()
            return try body(index)
        }
    }
    start.open()
    let results = threads.map { thread in Result { try thread.value() } }
    return try results.map { try $0.get() }
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
