import Foundation
import Glibc

/// A process of this machine, as /proc shows it.
struct RunningProcess: Equatable {
    let pid: pid_t
    /// Ticks since boot at which it started: a pid with another start is another process.
    let started: UInt64
    let parent: pid_t
    /// Program and arguments.
    let command: [String]
    /// Path of the executable, `nil` when it is not ours to see; " (deleted)" at its end once the file was replaced.
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
        let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
        command = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        executable = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/exe")
    }

    static func all() -> [RunningProcess] {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return entries.compactMap { pid_t($0) }.compactMap { RunningProcess(pid: $0) }
    }

    var isAlive: Bool { RunningProcess(pid: pid)?.started == started }

    /// Whether it still runs a file that has been replaced since.
    var runsReplacedExecutable: Bool { executable?.hasSuffix(" (deleted)") ?? false }

    /// A variable of the environment it was started with; `nil` also when that is not ours to see.
    func environment(_ name: String) -> String? {
        let data = FileManager.default.contents(atPath: "/proc/\(pid)/environ") ?? Data()
        let entry = data.split(separator: 0).first { $0.starts(with: "\(name)=".utf8) }
        return entry.map { String(decoding: $0.dropFirst(name.utf8.count + 1), as: UTF8.self) }
    }

    /// Whether it has this file open, or one that was there; false also when that is not ours to see.
    func hasOpen(_ path: String) -> Bool {
        let folder = "/proc/\(pid)/fd"
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return files.contains {
            let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\($0)")
            return target == path || target == path + " (deleted)"
        }
    }

    /// File name of the executable, also of one that has been replaced since.
    var program: String {
        executable.map { ($0 as NSString).lastPathComponent.replacingOccurrences(of: " (deleted)", with: "") } ?? ""
    }
}
