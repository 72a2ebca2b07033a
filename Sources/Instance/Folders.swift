import Foundation
import Glibc

extension Placement {
    /// Makes the state folder and answers its absolute path without symbolic links.
    /// - Throws: also for a folder that holds anything else than an instance, which would go with it.
    static func makeState(_ path: String, accounts: Accounts) throws -> String {
        let absolute = URL(fileURLWithPath: path).standardizedFileURL.path
        if FileManager.default.fileExists(atPath: absolute) {
            let state = resolve(absolute)
            try refuseOtherUser(state)
            try refuseForeign(absolute)
            // As mkdir makes it for a user whose umask lets a group of one's own write.
            var status = stat()
            if lstat(state, &status) == 0, status.st_mode & S_IWGRP != 0 {
                chmod(state, status.st_mode & 0o7777 & ~S_IWGRP)
            }
        } else if let target = try? FileManager.default.destinationOfSymbolicLink(atPath: absolute) {
            // Made here, it would hide what a disk holds that is not mounted.
            throw InstanceError("\(absolute) is a link to \(target), which is not there: mount its disk, or make it")
        } else {
            // Readable by all only where other users must get through it; secrets inside have modes of their own.
            let mode = accounts.switchesUser ? 0o755 : 0o700
            do {
                try FileManager.default.createDirectory(
                    atPath: absolute, withIntermediateDirectories: true, attributes: [.posixPermissions: mode])
            } catch {
                throw InstanceError(
                    "the state folder \(absolute) cannot be made: set TAPROOM_STATE to a folder that you may write to")
            }
            chmod(absolute, mode_t(mode))
        }
        return resolve(absolute)
    }

    /// What an instance makes in its state folder; each for a moment with `.new.` and a pid at its end.
    private static let own: Set = [
        "bin", "discarded-events.jsonl", "documents", "instance.json", "lock", "log", "nginx.conf", "postgres",
        "postgres.new", "postgres.password", "queues.json", "rabbitmq", "run", "supervisord.conf", "tmp",
    ]

    /// Throws for what is not a folder, and for one without an instance's record that holds what no instance made, such as
    /// /var, or lacks the lock that a start makes first, such as a folder with nothing but bin and log.
    static func refuseForeign(_ state: String) throws {
        let entries: [String]
        do {
            entries = try FileManager.default.contentsOfDirectory(atPath: state).sorted()
        } catch {
            throw InstanceError(
                "\(state) cannot be read as a folder: set TAPROOM_STATE to a folder that is empty or not there yet")
        }
        let foreign = entries.first { !own.contains($0.components(separatedBy: ".new.")[0]) }
        guard !entries.contains("instance.json"),
            let foreign = foreign ?? (entries.contains("lock") ? nil : entries.first)
        else { return }
        throw InstanceError(
            "\(state) is not a state folder: it holds \(foreign), which no instance made; "
                + "set TAPROOM_STATE to a folder that is empty or not there yet")
    }

    /// The absolute path without symbolic links; of a path that is not there, the absolute path.
    static func resolve(_ path: String) -> String {
        let absolute = URL(fileURLWithPath: path).standardizedFileURL.path
        guard let real = realpath(absolute, nil) else { return absolute }
        defer { free(real) }
        return String(cString: real)
    }

    /// Makes every folder with the modes that let each part reach what it needs and nothing more.
    func makeFolders(_ accounts: Accounts) throws {
        let links = [
            ("bin", executables), ("log", logs), ("postgres", cluster), ("rabbitmq", broker), ("tmp", temporary),
            ("run", run),
        ].map { (link: "\(state)/\($0)", target: $1) }.filter { $0.link != $0.target }
        for (link, _) in links {
            let isLink = (try? FileManager.default.destinationOfSymbolicLink(atPath: link)) != nil
            guard isLink || !FileManager.default.fileExists(atPath: link) else {
                throw InstanceError(
                    "\(link) was made when other users could enter \(state), and now they cannot: "
                        + "give the folders above it mode 0755 again, or choose another TAPROOM_STATE")
            }
        }
        if data != state {
            try FileManager.default.createDirectory(
                atPath: (data as NSString).deletingLastPathComponent, withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o755])
            try ensureFolder(data, mode: 0o755, owner: nil)
        }
        try ensureFolder(run, mode: accounts.switchesUser ? 0o755 : 0o700, owner: nil)
        try ensureFolder(logs, mode: 0o755, owner: nil)
        try ensureFolder(executables, mode: 0o755, owner: nil)
        // What nginx and supervisord make here as root, they also give away and set modes of: whoever may put a link in
        // its place becomes root. nginx gives its workers a folder each.
        try keepFolder(temporary, mode: 0o711, group: nil)
        // The permissions of the socket folders are the security border: no other user talks to a function directly.
        try keepFolder(functionSockets, mode: 0o750, group: accounts.server)
        try ensureFolder(databaseSocket, mode: 0o750, owner: accounts.database, group: accounts.server)
        for (link, target) in links {
            unlink(link)
            guard symlink(target, link) == 0 else { throw SystemError("cannot link \(link) to \(target)") }
        }
    }

    /// Makes a folder of the starter's in which others change nothing, or takes it back from whom an earlier version
    /// gave it to, with no link that these may have left.
    private func keepFolder(_ path: String, mode: mode_t, group: Account?) throws {
        var status = stat()
        func take() -> Bool { geteuid() != 0 || lchown(path, 0, group?.gid ?? 0) == 0 }
        guard take() || errno == ENOENT else { throw SystemError("cannot take back \(path)") }
        try ensureFolder(path, mode: mode, owner: nil)
        guard take() else { throw SystemError("cannot give \(path) its group") }
        for name in try FileManager.default.contentsOfDirectory(atPath: path) {
            let entry = "\(path)/\(name)"
            guard lstat(entry, &status) == 0, status.st_mode & S_IFMT == S_IFLNK else { continue }
            guard unlink(entry) == 0 else { throw SystemError("cannot remove the link \(entry)") }
        }
    }

    /// Makes the log of each program, which appends to it as the user it runs as; no others read it.
    func makeLogs(_ names: [String], owner: Account?) throws {
        for name in names {
            let path = "\(logs)/\(name).log"
            let file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o640)
            guard file >= 0 else { throw SystemError("cannot make \(path)") }
            defer { close(file) }
            guard fchmod(file, 0o640) == 0 else { throw SystemError("cannot set the mode of \(path)") }
            guard let owner else { continue }
            guard fchown(file, owner.uid, owner.gid) == 0 else { throw SystemError("cannot give away \(path)") }
        }
    }

    /// Makes the named pipe of each service's relay, which functions write a byte into.
    func makeSignals(_ services: [String], owner: Account?) throws {
        for service in services {
            let path = signal(of: service)
            guard mkfifo(path, 0o660) == 0 || errno == EEXIST else { throw SystemError("cannot make \(path)") }
            var status = stat()
            guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFIFO else {
                throw InstanceError("\(path) is not a named pipe: remove it")
            }
            guard fchmodat(AT_FDCWD, path, 0o660, AT_SYMLINK_NOFOLLOW) == 0 else {
                throw SystemError("cannot set the mode of \(path)")
            }
            guard let owner else { continue }
            guard lchown(path, owner.uid, owner.gid) == 0 else { throw SystemError("cannot give away \(path)") }
        }
    }

    /// Forgets everything: the state folder and what lies elsewhere. The instance must be down, and its lock the
    /// caller's.
    /// - Parameter keepsFolder: whether the state folder stays, empty.
    func remove(keepsFolder: Bool) throws {
        for folder in [run, data] where folder != state { try Self.remove(folder) }
        // Last what tells the next attempt that this is an instance's, then the lock: whoever gets it starts anew.
        let last = ["instance.json", "lock"]
        let others = try FileManager.default.contentsOfDirectory(atPath: state).filter { !last.contains($0) }
        for name in others { try Self.remove("\(state)/\(name)") }
        for name in last { unlink("\(state)/\(name)") }
        // rmdir(2) leaves a folder that is not empty: the first when a start has begun anew, the second, which all placed
        // instances share, until the last goes.
        if !keepsFolder { rmdir(state) }
        if data != state { rmdir((data as NSString).deletingLastPathComponent) }
    }

    /// Tries for a while: an initdb of a start that was cut short still writes, or takes away what it wrote.
    private static func remove(_ path: String) throws {
        let isGone = waitUntil(seconds: 10, every: 200) {
            try? FileManager.default.removeItem(atPath: path)
            return (try? FileManager.default.attributesOfItem(atPath: path)) == nil
        }
        guard isGone else {
            throw InstanceError(
                "\(path) cannot be removed: something still writes there, or it belongs to another user")
        }
    }
}
