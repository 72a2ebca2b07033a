import Foundation
import Glibc
import TestSupport
import Testing

/// The lock of a state folder, as a command holds it that works there. Makes the folder.
struct HeldLock {
    private let file: Int32
    private let inode: UInt64

    init(state: String) throws {
        mkdir(state, 0o755)
        file = open(state + "/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        try #require(flock(file, LOCK_EX | LOCK_NB) == 0)
        var status = stat()
        fstat(file, &status)
        inode = UInt64(status.st_ino)
    }

    /// Waits until the process waits for this very lock.
    func isAwaited(by child: ChildProcess) throws {
        try Eventually.happens("it waits for the lock") {
            try #require(child.end == nil, "\(child.lines)")
            return try KernelFile.text("/proc/locks").split(separator: "\n").contains {
                $0.contains("-> FLOCK") && $0.contains(" \(child.pid) ") && $0.contains(":\(inode) ")
            }
        }
    }

    func release() { close(file) }
}
