internal import CFastCGI
import Glibc

/// The process side of FastCGI: workers on threads, and their graceful end.
enum FastCGIListener {
    /// Whether standard input is a listening socket, which is how supervisord, systemd and nginx's own spawners hand
    /// it over.
    static var isInherited: Bool {
        var listening: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(STDIN_FILENO, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening != 0
    }

    /// Serves until SIGTERM or SIGINT, then ends the process: 0 when what was in hand is finished, 1 when it was not
    /// within the function's time limit.
    static func serve(_ invoker: Invoker<some HTTPFunction>) -> Never {
        // A signal that lands in a worker's read(2) cuts a body short without a word, so no worker ever gets one.
        let signals = SignalSet.blockAll()
        limitArenas()
        // Milliseconds that libfcgi waits for a peer to close first, which holds the worker: 2000 unless said here.
        setenv("LIBFCGI_OS_CLOSE_POLL_TIMEOUT", "200", 0)
        FCGX_Init()
        // After FCGX_Init, which puts its own handler in this place.
        signal(SIGPIPE, SIG_IGN)
        _ = fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK)

        let stop = StopSignal()
        let workers = (0..<invoker.process.concurrency).map { _ in
            WorkerThread {
                var transport = FastCGITransport(stop: stop, timeoutMilliseconds: invoker.process.timeoutMilliseconds)
                invoker.serve(&transport)
            }
        }
        signals.waitForStop()
        stop.raise()
        let deadline = Deadline.after(milliseconds: invoker.process.timeoutMilliseconds)
        let finished = workers.reduce(true) { $1.join(deadline: deadline) && $0 }
        exit(finished ? 0 : 1)
    }

    /// Two heaps for all threads keep an idle function small: each further one costs 130 kB at its first allocation.
    private static func limitArenas() { mallopt(M_ARENA_MAX, 2) }
}
