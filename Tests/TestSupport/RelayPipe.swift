import Glibc

/// A named pipe in place of the one through which a relay is woken; its path is a function's `OUTBOX_SIGNAL`.
public final class RelayPipe: Sendable {
    public let path: String
    private let folder: TemporaryFolder
    private let descriptor: Int32

    public init() throws {
        folder = try TemporaryFolder()
        path = "\(folder.path)/signal"
        guard mkfifo(path, 0o600) == 0 else { throw SystemCallError("mkfifo \(path)") }
        descriptor = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)
    }

    deinit { close(descriptor) }

    /// How often the relay was woken since the last call.
    public func wakings() -> Int {
        var bytes = [UInt8](repeating: 0, count: 64)
        return max(0, read(descriptor, &bytes, bytes.count))
    }
}
