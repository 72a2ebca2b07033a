import Foundation

/// How much memory an instance may count on.
enum Memory {
    /// Bytes: the machine's, or what its container is given of it.
    /// - Parameter limitFiles: where the kernel says what a container is given; the least counts.
    static func available(limitFiles: [String] = limitFiles) -> UInt64 {
        let limits = limitFiles.compactMap { file in
            (try? String(contentsOfFile: file, encoding: .utf8))
                .flatMap { UInt64($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
        }
        return limits.reduce(ProcessInfo.processInfo.physicalMemory, min)
    }

    /// Of cgroup v2 and v1. Without a limit the former says "max", the latter a number near 2^63.
    private static let limitFiles = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]

    /// Megabytes of PostgreSQL's shared buffers: a quarter of the memory, as its manual advises, but at least its own
    /// default and at most 8 GB, about what requests read of ten million subscriptions: the more there are, the longer
    /// a TRUNCATE takes. The system caches the rest, for as long as it likes.
    static func sharedBuffers(of available: UInt64) -> UInt64 { min(max(available / 4 / 1_048_576, 128), 8192) }
}
