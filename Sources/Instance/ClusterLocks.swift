import Foundation
import Glibc

/// The files by which a PostgreSQL keeps a second one from its cluster and its socket.
///
/// One that was killed leaves them. The next takes no notice, unless the pid in them is that of another process of the
/// same user by now: then it never starts.
struct ClusterLocks {
    let cluster: String
    let socketFolder: String

    private var files: [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: socketFolder)) ?? []
        let locks = names.filter { $0.hasPrefix(".s.PGSQL.") && $0.hasSuffix(".lock") }
        return [cluster + "/postmaster.pid"] + locks.map { "\(socketFolder)/\($0)" }
    }

    /// Removes those of a server that is gone; all stay while any of its processes may live. Nobody may start one
    /// meanwhile.
    func removeLeft() {
        let files = files
        guard !files.contains(where: isHeld) else { return }
        for file in files { unlink(file) }
    }

    /// Whether the server that wrote the file lives, or one of its sessions, or it cannot be told.
    private func isHeld(_ file: String) -> Bool {
        guard let data = FileManager.default.contents(atPath: file) else {
            return FileManager.default.fileExists(atPath: file)
        }
        let lines = String(decoding: data, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        if let pid = pid_t(lines[0]), RunningProcess(pid: abs(pid))?.command.contains(cluster) == true { return true }
        // The seventh line: key and id of the shared memory that the server and all its sessions are attached to.
        guard lines.count > 6 else { return false }
        let numbers = lines[6].split(separator: " ").compactMap { UInt($0) }
        return numbers.count == 2 && isAttached(id: numbers[1], key: numbers[0])
    }

    private func isAttached(id: UInt, key: UInt) -> Bool {
        var status = shmid_ds()
        guard shmctl(Int32(truncatingIfNeeded: id), IPC_STAT, &status) == 0 else {
            return ![EINVAL, EIDRM].contains(errno)
        }
        // Another segment may have the id by now.
        return status.shm_nattch > 0 && status.shm_perm.__key == key_t(truncatingIfNeeded: key)
    }
}
