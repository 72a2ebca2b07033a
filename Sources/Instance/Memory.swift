import Foundation

/// How much memory an instance may count on.
enum Memory {
    /// Bytes: the machine's, or what its container is given of it.
    static var available: UInt64 {
        let limit = (try? String(contentsOfFile: "/sys/fs/cgroup/memory.max", encoding: .utf8))
            .flatMap { UInt64($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
        return min(ProcessInfo.processInfo.physicalMemory, limit ?? .max)
    }

    /// Megabytes of PostgreSQL's shared buffers: a quarter of the memory, as its manual advises, but at least its own
    /// default and at most what the indexes of a million subscriptions fill. The system caches the rest.
    static func sharedBuffers(of available: UInt64) -> UInt64 { min(max(available / 4 / 1_048_576, 128), 1024) }
}
