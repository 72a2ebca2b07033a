import CPostgres
import Glibc
import Runtime

/// Asks the server to stop a statement, without waiting for it.
///
/// libpq sends the request by a connection of its own and waits until the server closes that, without limit. A server
/// that stands still would hold its caller long after the deadline, so a thread of its own waits instead.
enum Cancellation {
    private static let waiting = Lock(0)

    /// More of them say that the server does not listen anyway; it ends the statement when it finds its client gone.
    private static let limit = 16

    /// Takes over what `PQgetCancel` gave.
    static func send(_ request: OpaquePointer) {
        let isAccepted = waiting.withLock { count in
            guard count < limit else { return false }
            count += 1
            return true
        }
        guard isAccepted else { return PQfreeCancel(request) }
        guard start(request) else {
            waiting.withLock { $0 -= 1 }
            return PQfreeCancel(request)
        }
    }

    private static func start(_ request: OpaquePointer) -> Bool {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(&attributes, 128 << 10)
        var thread = pthread_t()
        return pthread_create(
            &thread, &attributes,
            { argument in
                let request = argument.map { OpaquePointer($0) }
                withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { reason in
                    _ = PQcancel(request, reason.baseAddress, Int32(reason.count))
                }
                PQfreeCancel(request)
                Cancellation.waiting.withLock { $0 -= 1 }
                return nil
            }, UnsafeMutableRawPointer(request)) == 0
    }
}
