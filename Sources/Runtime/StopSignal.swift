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
