import Glibc
public import Runtime

/// Wakes the relay of a service's outbox after a commit, so that it need not wait for its next sweep. Best effort: an
/// event whose signal was lost is found by the sweep.
///
/// The signal is a byte in a named pipe beside the functions' sockets. A relay that does not run, or that has signals
/// enough, costs the caller nothing but the attempt.
public final class RelaySignal: Sendable {
    private let path: String
    private let descriptor = Lock<Int32?>(nil)

    /// From the function's `OUTBOX_SIGNAL`, the path of the pipe; without it, `raise` does nothing.
    public init(_ settings: Settings) { path = settings.text("OUTBOX_SIGNAL", default: "") }

    deinit { descriptor.withLock { if let open = $0 { close(open) } } }

    /// Neither waits nor fails, whatever the relay does. Raise it after the commit: a relay that looks before finds
    /// nothing.
    public func raise() {
        guard !path.isEmpty else { return }
        descriptor.withLock { descriptor in
            if descriptor == nil {
                let opened = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)
                if opened >= 0 { descriptor = opened }
            }
            guard let pipe = descriptor else { return }
            var byte: UInt8 = 1
            // A full pipe is signal enough; one that has lost its reader is opened anew next time.
            if write(pipe, &byte, 1) < 0, errno == EPIPE {
                close(pipe)
                descriptor = nil
            }
        }
    }
}
