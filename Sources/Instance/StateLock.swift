import Foundation
import Glibc

/// Keeps two `up`, `down`, `clean-state` or `restart` of one state folder from running at the same time. The kernel lets
/// go of it when the process ends, however it ends.
public struct StateLock: ~Copyable {
    private let file: Int32

    /// Waits for whoever has it.
    /// - Parameter progress: is told once when it is taken.
    /// - Returns: `nil` when the folder is not there, also because whoever had the lock removed it.
    public init?(state: String, progress: Progress) throws {
        let path = "\(state)/lock"
        var wasTaken = false
        while true {
            let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            guard file >= 0 else {
                let code = errno
                let error = SystemError("cannot open \(path)")
                if code == ENOENT { return nil }
                guard [EACCES, EPERM, EROFS].contains(code) else { throw error }
                throw InstanceError(
                    "\(error): be the user who started the instance, or set TAPROOM_STATE to a folder that you may "
                        + "write to")
            }
            do {
                try Self.lock(file, path) {
                    if !wasTaken { progress.say("  another taproom works on \(state): waiting for it to finish") }
                    wasTaken = true
                }
            } catch {
                close(file)
                throw error
            }
            // Whoever had it may have removed the file, and another process may have the one that came after it.
            var (own, current) = (stat(), stat())
            if fstat(file, &own) == 0, stat(path, &current) == 0, own.st_dev == current.st_dev,
                own.st_ino == current.st_ino
            {
                self.file = file
                return
            }
            close(file)
        }
    }

    private static func lock(_ file: Int32, _ path: String, waiting: () -> Void) throws {
        if flock(file, LOCK_EX | LOCK_NB) == 0 { return }
        waiting()
        while flock(file, LOCK_EX) != 0 {
            guard errno == EINTR else { throw SystemError("cannot lock \(path)") }
        }
    }

    deinit { close(file) }
}
