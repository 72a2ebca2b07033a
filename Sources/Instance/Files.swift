import Foundation
import Glibc

/// A failed system call with what was attempted.
struct SystemError: Error, CustomStringConvertible {
    let description: String

    /// Reads `errno` at once.
    init(_ attempt: String) {
        description = "\(attempt): \(String(cString: strerror(errno)))"
    }
}

/// Replaces a file in one step: whoever reads it sees the old text or the new one, also after a power cut, and its mode
/// is never wider. What others may have put where the new text is made meanwhile, such as a link, is not written to.
/// - Returns: whether the text differs from what stood there.
@discardableResult
func writeFile(_ path: String, _ data: Data, mode: mode_t) throws -> Bool {
    let changed = FileManager.default.contents(atPath: path) != data
    let temporary = "\(path).new.\(getpid())"
    unlink(temporary)
    let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)
    guard file >= 0 else { throw SystemError("cannot write \(path)") }
    // After a success there is none of that name.
    defer { unlink(temporary) }
    let handle = FileHandle(fileDescriptor: file, closeOnDealloc: true)
    fchmod(file, mode)
    do {
        try handle.write(contentsOf: data)
        try handle.synchronize()
        try handle.close()
    } catch {
        throw InstanceError("cannot write \(path): \(error.localizedDescription)")
    }
    guard rename(temporary, path) == 0 else { throw SystemError("cannot write \(path)") }
    synchronizeFolder(of: path)
    return changed
}

/// Makes the name of a file or folder last through a power cut, where the file system can.
func synchronizeFolder(of path: String) {
    let folder = open((path as NSString).deletingLastPathComponent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard folder >= 0 else { return }
    fsync(folder)
    close(folder)
}

/// Makes the folder when it is missing and gives it this mode and owner.
func ensureFolder(_ path: String, mode: mode_t, owner: Account?, group: Account? = nil) throws {
    var status = stat()
    if lstat(path, &status) != 0 {
        guard mkdir(path, mode) == 0 || errno == EEXIST else { throw SystemError("cannot make the folder \(path)") }
    } else if status.st_mode & S_IFMT != S_IFDIR {
        throw InstanceError("\(path) is not a folder: remove it")
    } else if owner == nil, status.st_uid != geteuid() {
        throw InstanceError("\(path) belongs to another user: remove it, or choose another TAPROOM_STATE")
    }
    guard chmod(path, mode) == 0 else { throw SystemError("cannot set the mode of \(path)") }
    guard let owner else { return }
    guard chown(path, owner.uid, (group ?? owner).gid) == 0 else { throw SystemError("cannot give away \(path)") }
}
