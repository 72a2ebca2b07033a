import Glibc

/// A count that one thread raises and another waits for.
///
/// `@unchecked Sendable`: `sem_t` is made to be shared, and its address stays the same.
public final class Semaphore: @unchecked Sendable {
    private let semaphore: UnsafeMutablePointer<sem_t>

    /// - Parameter count: how many may pass before the first has to wait.
    public init(_ count: UInt32 = 0) {
        semaphore = .allocate(capacity: 1)
        semaphore.initialize(to: sem_t())
        sem_init(semaphore, 0, count)
    }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    /// Lets one thread pass.
    public func signal() { sem_post(semaphore) }

    /// Waits until the count is above zero, and takes one.
    public func wait() { while sem_wait(semaphore) != 0 {} }
}
