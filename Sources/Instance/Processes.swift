import Foundation
import Glibc

/// A process of this machine, as /proc shows it.
struct RunningProcess: Equatable {
    let pid: pid_t
    /// Ticks since boot at which it started: a pid with another start is another process.
    let started: UInt64
    let parent: pid_t
    let isSessionLeader: Bool
    /// Program and arguments.
    let command: [String]
    /// Path of the executable; " (deleted)" at its end once the file was replaced. Where it is not ours to see, what the
    /// arguments begin with, when that is a path.
    let executable: String?

    init?(pid: pid_t) {
        guard let data = FileManager.default.contents(atPath: "/proc/\(pid)/stat") else { return nil }
        // The name stands in parentheses and may hold anything; fields are counted from the last one.
        let text = String(decoding: data, as: UTF8.self)
        guard let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 19, fields[0] != "Z", let parent = pid_t(fields[1]), let started = UInt64(fields[19])
        else { return nil }
        self.pid = pid
        self.parent = parent
        self.started = started
        isSessionLeader = pid_t(fields[3]) == pid
        let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
        command = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        let path = Self.look(into: pid) {
            try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/exe")
        }
        executable = path ?? command.first.flatMap { $0.hasPrefix("/") ? $0 : nil }
    }

    /// Reads what the kernel shows to a process's own user and to who may trace it: root in a container may not, as a
    /// rule (CAP_SYS_PTRACE), and looks as that user then.
    private static func look<Found>(into pid: pid_t, _ read: () -> Found?) -> Found? {
        if let found = read() { return found }
        var status = stat()
        guard geteuid() == 0, stat("/proc/\(pid)", &status) == 0, status.st_uid != 0 else { return nil }
        return Ownership.withRights(of: status, read)
    }

    static func all() -> [RunningProcess] {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return entries.compactMap { pid_t($0) }.compactMap { RunningProcess(pid: $0) }
    }

    var isAlive: Bool { RunningProcess(pid: pid)?.started == started }

    /// Whether it still runs a file that has been replaced since: the kernel's " (deleted)" tells it on local disks only.
    var runsReplacedExecutable: Bool {
        guard let path = command.first, path.hasPrefix("/"),
            let file = Self.look(into: pid, { FileIdentity("/proc/\(pid)/exe") })
        else { return false }
        return FileIdentity(path) != file
    }

    /// Whether it has loaded a file of this folder, such as a library, that has been replaced since; false also when that
    /// is not ours to see.
    func hasLoadedReplaced(in folder: String) -> Bool {
        let maps = Self.look(into: pid) { FileManager.default.contents(atPath: "/proc/\(pid)/maps") }
        return String(decoding: maps ?? Data(), as: UTF8.self).split(separator: "\n").contains {
            $0.hasSuffix(" (deleted)") && $0.contains(" \(folder)/")
        }
    }

    /// A variable of the environment it was started with; `nil` also when that is not ours to see.
    func environment(_ name: String) -> String? {
        let data = Self.look(into: pid) { FileManager.default.contents(atPath: "/proc/\(pid)/environ") }
        let entry = (data ?? Data()).split(separator: 0).first { $0.starts(with: "\(name)=".utf8) }
        return entry.map { String(decoding: $0.dropFirst(name.utf8.count + 1), as: UTF8.self) }
    }

    /// Whether it has this file open, or one that was there; false also when that is not ours to see.
    func hasOpen(_ path: String) -> Bool { openFiles.contains { [path, path + " (deleted)"].contains($0) } }

    /// What its descriptors stand for, as the kernel writes it.
    private var openFiles: [String] {
        let folder = "/proc/\(pid)/fd"
        let found = Self.look(into: pid) {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            let files = names.compactMap {
                try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\($0)")
            }
            return files.isEmpty ? nil : files
        }
        return found ?? []
    }

    /// Whether it is PostgreSQL or RabbitMQ, without which a function loses what it has in hand.
    var isServer: Bool { ["postgres", "beam.smp"].contains(program) }

    /// What it is asked to stop by. INT is PostgreSQL's fast shutdown; TERM would wait for every client to leave by
    /// itself.
    var stopSignal: Int32 { program == "postgres" ? SIGINT : SIGTERM }

    /// File name of the executable, also of one that has been replaced since.
    var program: String {
        executable.map { ($0 as NSString).lastPathComponent.replacingOccurrences(of: " (deleted)", with: "") } ?? ""
    }
}

/// Tells files apart whatever they are called.
private struct FileIdentity: Equatable {
    let device: dev_t
    let inode: ino_t

    /// `nil` where none is, or none that is ours to see.
    init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        (device, inode) = (status.st_dev, status.st_ino)
    }
}
