import CLinux
import Foundation
import Glibc

/// Whose things are: who may change what a command works with may have it do anything.
enum Ownership {
    /// A user's name, for people.
    static func name(of uid: uid_t) -> String {
        getpwuid(uid).map { String(cString: $0.pointee.pw_name) } ?? "user \(uid)"
    }

    /// The user to whom a file or folder belongs, itself and not what it may link to; `nil` where there is none.
    static func owner(of path: String) -> uid_t? {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_uid : nil
    }

    /// Lets root do something with files under the rights of whom a file or folder belongs to: of this thread alone, and
    /// for nothing but files.
    static func withRights<Result>(of status: stat, _ body: () throws -> Result) rethrows -> Result {
        setfsgid(status.st_gid)
        setfsuid(status.st_uid)
        defer {
            setfsuid(geteuid())
            setfsgid(getegid())
        }
        return try body()
    }
}

extension Placement {
    /// What a state folder holds is killed, run and removed by whoever works with it, and another user's parts would lie
    /// elsewhere and run as others. So this comes before anything of it is read.
    /// - Parameter state: without symbolic links; it need not be there.
    /// - Throws: `InstanceError` for what is no folder, unless the folder, its record and its lock belong to who runs this,
    ///   and for one in which everybody may put other files in their place; in a sticky one, as the root of a tmpfs is,
    ///   nobody else may.
    public static func refuseOtherUser(_ state: String) throws {
        var status = stat()
        if lstat(state, &status) == 0, status.st_mode & S_IFMT != S_IFDIR {
            throw InstanceError(
                "\(state) is not a folder: set TAPROOM_STATE to a folder that is empty or not there yet")
        }
        let own = geteuid()
        for path in [state, "\(state)/instance.json", "\(state)/lock"] {
            guard let owner = Ownership.owner(of: path), owner != own else { continue }
            // A start made the lock, and somebody else the folder around it.
            let remedy =
                path == state && Ownership.owner(of: "\(state)/lock") == own
                ? "chown \(Ownership.name(of: own)) \(state)" : "run this as that user"
            throw InstanceError(
                "\(path) belongs to \(Ownership.name(of: owner)): \(remedy), or set TAPROOM_STATE to a folder of your "
                    + "own")
        }
        guard lstat(state, &status) == 0, status.st_mode & (S_IWOTH | S_ISVTX) == S_IWOTH else { return }
        throw InstanceError(
            "everybody may write into \(state): set TAPROOM_STATE to a folder that only you write into, or chmod go-w "
                + "\(state) when it is for nothing else")
    }
}
