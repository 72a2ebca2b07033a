import Glibc

/// The worker threads of a process, from its start to its end.
package enum Workers {
    /// Runs `body` on so many threads until the process is asked to end, or an invocation is past its time limit and
    /// does not end (see `Watch`): that one is logged, since no thread can be taken out of what holds it. Then the
    /// workers take no more and finish what they have in hand. The process ends with status 0 when they have, 70 as
    /// soon as only invocations that do not end are left, and 1 after `patience`.
    /// - Parameters:
    ///   - signals: those that were blocked before any thread was started.
    ///   - patience: milliseconds; default the function's time limit.
    ///   - body: returns when the signal is raised and what is in hand is done.
    package static func run(
        _ process: Settings.Process, count: Int, signals: SignalSet, patience: Int? = nil,
        _ body: @escaping @Sendable (StopSignal, Watch) -> Void
    ) -> Never {
        signal(SIGPIPE, SIG_IGN)
        let stop = StopSignal()
        var workers = (0..<count).map { _ in
            let watch = Watch(process)
            return (watch: watch, thread: WorkerThread { body(stop, watch) })
        }
        func look() {
            for worker in workers { if let invocation = worker.watch.look() { report(invocation, process) } }
        }

        while !workers.contains(where: \.watch.isOverdue), !signals.waitForStop(milliseconds: lookMilliseconds) {
            look()
        }
        stop.raise()
        let deadline = Deadline.after(milliseconds: patience ?? process.timeoutMilliseconds)
        while let index = workers.firstIndex(where: { !$0.watch.isOverdue }) {
            if workers[index].thread.join(deadline: deadline.atMost(milliseconds: lookMilliseconds)) {
                workers.remove(at: index)
            } else if deadline.hasPassed {
                break
            } else {
                look()
            }
        }
        if workers.isEmpty { exit(0) }
        // Without what is done at an exit: a thread that still works may need it, or hold what it needs.
        _exit(workers.contains(where: \.watch.isOverdue) ? EX_SOFTWARE : 1)
    }

    private static func report(_ invocation: Watch.Invocation, _ process: Settings.Process) {
        var line = LogLine(level: "critical")
        line.add("request_id", invocation.requestID)
        line.add("function", process.function)
        line.add(invocation.subject.name, invocation.subject.value)
        line.add("duration_ms", nanoseconds: Clock.monotonicNanoseconds() - invocation.start)
        line.add("message", "the invocation does not end: the process takes no more, and ends once the others are done")
        line.write()
    }

    private static let lookMilliseconds = 1000
}
