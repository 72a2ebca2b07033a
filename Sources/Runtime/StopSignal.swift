internal import CFastCGI
import Glibc
internal import Synchronization

/// Tells every worker of the process to take no more work, also those that wait.
final class StopSignal: Sendable {
    private let raised = Atomic<Bool>(false)
    /// Readable for ever once raised.
    private let descriptor = eventfd(0, Int32(EFD_CLOEXEC))

    var isRaised: Bool { raised.load(ordering: .relaxed) }

    func raise() {
        raised.store(true, ordering: .relaxed)
        eventfd_write(descriptor, 1)
    }

    /// Waits until it is raised, at most so long.
    func wait(milliseconds: Int) {
        var event = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        poll(&event, 1, Int32(milliseconds))
    }

    /// Waits until it is raised or `other` can be read or accepted from.
    func wait(orReadable other: Int32) {
        withUnsafeTemporaryAllocation(of: pollfd.self, capacity: 2) { descriptors in
            descriptors[0] = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            descriptors[1] = pollfd(fd: other, events: Int16(POLLIN), revents: 0)
            _ = poll(descriptors.baseAddress, 2, -1)
        }
    }
}

/// The signals of the process, waited for by one thread and delivered to no other.
struct SignalSet {
    private var signals: sigset_t

    /// Blocks every signal in this thread and in all that it starts.
    static func blockAll() -> SignalSet {
        var signals = sigset_t()
        sigfillset(&signals)
        // Faults of the program itself must end it where they happen.
        for fault in [SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGABRT, SIGTRAP] { sigdelset(&signals, fault) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        return SignalSet(signals: signals)
    }

    /// Returns when the process is asked to end.
    func waitForStop() {
        var set = signals
        var signal: Int32 = 0
        repeat { sigwait(&set, &signal) } while signal != SIGTERM && signal != SIGINT
    }
}
