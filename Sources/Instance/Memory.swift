import Foundation

/// How much memory an instance may count on.
enum Memory {
    /// Bytes: the machine's, or what its container is given of it.
    /// - Parameter limitFile: where the kernel says what a container is given: a number or "max".
    static func available(limitFile: String = "/sys/fs/cgroup/memory.max") -> UInt64 {
        let limit = (try? String(contentsOfFile: limitFile, encoding: .utf8))
            .flatMap { UInt64($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
        return min(ProcessInfo.processInfo.physicalMemory, limit ?? .max)
    }

    /// Megabytes of PostgreSQL's shared buffers: a quarter of the memory, as its manual advises, but at least its own
    /// default and at most 8 GB, about what requests read of ten million subscriptions: the more there are, the longer
    /// a TRUNCATE takes. The system caches the rest, for as long as it likes.
    static func sharedBuffers(of available: UInt64) -> UInt64 { min(max(available / 4 / 1_048_576, 128), 8192) }
}
