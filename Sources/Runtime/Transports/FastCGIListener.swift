import CFastCGI
import CLinux
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

    /// Serves until the process is to end, see `Workers`.
    static func serve(_ invoker: Invoker<some HTTPFunction>) -> Never {
        // A signal that lands in a worker's read(2) cuts a body short without a word, so no worker ever gets one.
        let signals = SignalSet.blockAll()
        limitArenas()
        // Milliseconds that libfcgi waits for a peer to close first, which holds the worker: 2000 unless said here.
        setenv("LIBFCGI_OS_CLOSE_POLL_TIMEOUT", "200", 0)
        FCGX_Init()
        _ = fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK)
        Workers.run(invoker.process, count: invoker.process.concurrency, signals: signals) { stop, watch in
            var transport = FastCGITransport(stop: stop, timeoutMilliseconds: invoker.process.timeoutMilliseconds)
            invoker.serve(&transport, watch)
        }
    }

    /// Two heaps for all threads keep an idle function small: each further one costs 130 kB at its first allocation.
    private static func limitArenas() { mallopt(M_ARENA_MAX, 2) }
}
