import Glibc

/// A count that one thread raises and another waits for.
///
/// `@unchecked Sendable`: `sem_t` is made to be shared, and its address stays the same.
public final class Semaphore: @unchecked Sendable {
    private let semaphore: UnsafeMutablePointer<sem_t>

    /// With a count of zero.
    public init() {
        semaphore = .allocate(capacity: 1)
        semaphore.initialize(to: sem_t())
        sem_init(semaphore, 0, 0)
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
