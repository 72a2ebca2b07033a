import CLinux
import Glibc
import Synchronization

/// Tells every worker of the process to take no more work, also those that wait.
package final class StopSignal: Sendable {
    package init() {}

    private let raised = Atomic<Bool>(false)
    /// Readable for ever once raised.
    package let descriptor = eventfd(0, Int32(EFD_CLOEXEC))

    package var isRaised: Bool { raised.load(ordering: .relaxed) }

    package func raise() {
        raised.store(true, ordering: .relaxed)
        eventfd_write(descriptor, 1)
    }

    /// Waits until it is raised, at most so long.
    package func wait(milliseconds: Int) {
        var event = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        poll(&event, 1, Int32(milliseconds))
    }
}

/// Waits for a connection to a listening socket, or for the signal to stop; one for each worker.
///
/// It is epoll(7) for `EPOLLEXCLUSIVE`: a connection wakes one of the workers that wait, where poll(2) wakes them all to
/// let all but one go back to sleep.
struct ConnectionWait: ~Copyable {
    private let descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))

    init(listener: Int32, stop: Int32) {
        add(listener, EPOLLIN.rawValue | EPOLLEXCLUSIVE.rawValue)
        add(stop, EPOLLIN.rawValue)
    }

    deinit { close(descriptor) }

    private func add(_ other: Int32, _ events: UInt32) {
        var event = epoll_event()
        event.events = events
        epoll_ctl(descriptor, EPOLL_CTL_ADD, other, &event)
    }

    func wait() {
        var event = epoll_event()
        epoll_wait(descriptor, &event, 1, -1)
    }
}

/// The signals of the process, waited for by one thread and delivered to no other.
package struct SignalSet {
    private var signals: sigset_t

    /// Blocks every signal in this thread and in all that it starts.
    package static func blockAll() -> SignalSet {
        var signals = sigset_t()
        sigfillset(&signals)
        // Faults of the program itself must end it where they happen.
        for fault in [SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGABRT, SIGTRAP] { sigdelset(&signals, fault) }
        // By one of these Swift's runtime halts the other threads while it writes a backtrace: it would wait half a
        // minute for a thread that has it blocked. Whoever else sends one is ignored.
        for halt in [SIGPROF, SIGUSR1, SIGUSR2] {
            sigdelset(&signals, halt)
            signal(halt, SIG_IGN)
        }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        return SignalSet(signals: signals)
    }

    /// Waits until the process is asked to end, at most so long.
    /// - Returns: whether it was asked.
    func waitForStop(milliseconds: Int) -> Bool {
        var set = signals
        let deadline = Deadline.after(milliseconds: milliseconds)
        while true {
            let left = deadline.remainingMilliseconds
            if left == 0 { return false }
            var time = timespec(tv_sec: left / 1000, tv_nsec: left % 1000 * 1_000_000)
            if [SIGTERM, SIGINT].contains(sigtimedwait(&set, nil, &time)) { return true }
        }
    }
}
