import CLinux
import Glibc

/// A thread that runs one closure to its end.
final class WorkerThread {
    private var thread = pthread_t()

    private final class Start {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// Ends the process when the system has no thread to give.
    init(_ body: @escaping @Sendable () -> Void) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, Self.stackBytes)
        let start = Unmanaged.passRetained(Start(body))
        let result = pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body()
                return nil
            }, start.toOpaque())
        pthread_attr_destroy(&attributes)
        guard result == 0 else {
            var line = LogLine(level: "critical")
            line.add("message", "no thread: \(String(cString: strerror(result)))")
            line.write()
            exit(EX_OSERR)
        }
    }

    /// Waits for its end; false when it has not come by the deadline.
    func join(deadline: Deadline) -> Bool {
        var until = deadline.time
        return taproom_join_until(thread, &until) == 0
    }

    /// librabbitmq reads the headers of a message by recursion, and one frame has room for 26,000 lists in one another,
    /// which take 3 MB. Only touched pages count.
    private static let stackBytes = 4 << 20
}

extension Sequence where Element: Sendable {
    /// Runs `body` for every element, each on a thread of its own that may block, and returns when all have ended.
    /// - Throws: one of the errors that came; the others run to their end all the same.
    public func inParallel<Failure>(
        _ body: @escaping @Sendable (Element) throws(Failure) -> Void
    ) throws(Failure) {
        let failure = Lock<Failure?>(nil)
        let threads = map { element in
            WorkerThread {
                do throws(Failure) {
                    try body(element)
                } catch {
                    failure.withLock { $0 = $0 ?? error }
                }
            }
        }
        for thread in threads { _ = thread.join(deadline: .never) }
        if let error = failure.withLock({ $0 }) { throw error }
    }
}

/// Lets threads go first that could run and wait for a processor: at most eight turns, and none begins once a tenth of a
/// millisecond has passed. Where nobody waits it takes a few microseconds.
public func giveWay() {
    let begin = Clock.monotonicNanoseconds()
    for _ in 0..<8 where Clock.monotonicNanoseconds() - begin < 100_000 { sched_yield() }
}
