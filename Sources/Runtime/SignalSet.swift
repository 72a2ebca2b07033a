import Glibc

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
