import CLinux
import Glibc

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
