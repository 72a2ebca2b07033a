import Foundation
import Glibc

/// Keeps two `up`, `down` or `restart` of one state folder from running at the same time. The kernel lets go of it
/// when the process ends, however it ends.
public struct StateLock: ~Copyable {
    private let file: Int32

    /// Waits for whoever has it.
    /// - Parameter waiting: called once when it is taken.
    public init(state: String, waiting: () -> Void) throws {
        file = open("\(state)/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw SystemError("cannot open \(state)/lock") }
        if flock(file, LOCK_EX | LOCK_NB) == 0 { return }
        waiting()
        while flock(file, LOCK_EX) != 0 {
            guard errno == EINTR else { throw SystemError("cannot lock \(state)/lock") }
        }
    }

    deinit { close(file) }
}
