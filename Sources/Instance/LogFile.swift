import Foundation
import Glibc

/// A log that may grow, be cut or be replaced while it is read.
public final class LogFile {
    public let path: String
    private var offset: UInt64 = 0
    private var inode: ino_t = 0
    private var rest = Data()

    public init(path: String) { self.path = path }

    /// The last lines, and the place from which `newLines` goes on.
    /// - Parameter limit: how many bytes at the end to read at most; a line that begins before them is left out.
    public func lastLines(_ count: Int, within limit: UInt64 = .max) -> [String] {
        guard let file = FileHandle(forReadingAtPath: path), let end = try? file.seekToEnd() else { return [] }
        defer { try? file.close() }
        offset = end
        inode = Self.identity(path)
        var window = min(256 * 1024, limit)
        while true {
            let begin = end > window ? end - window : 0
            try? file.seek(toOffset: begin)
            let data = (try? file.read(upToCount: Int(end - begin))) ?? Data()
            var lines = data.split(separator: 0x0A)
            // The first may have begun before.
            if begin > 0, !lines.isEmpty { lines.removeFirst() }
            if begin == 0 || window == limit || lines.count >= count {
                return lines.suffix(count).map { String(decoding: $0, as: UTF8.self) }
            }
            window = window > limit / 4 ? limit : window * 4
        }
    }

    /// Whole lines written since the last call.
    public func newLines() -> [String] {
        let current = Self.identity(path)
        guard let file = FileHandle(forReadingAtPath: path), let end = try? file.seekToEnd() else { return [] }
        defer { try? file.close() }
        if current != inode || end < offset {
            (inode, offset, rest) = (current, 0, Data())
        }
        guard end > offset else { return [] }
        try? file.seek(toOffset: offset)
        guard let data = try? file.readToEnd() else { return [] }
        offset += UInt64(data.count)
        rest += data
        guard let last = rest.lastIndex(of: 0x0A) else { return [] }
        let whole = rest[rest.startIndex..<last]
        rest = Data(rest[rest.index(after: last)...])
        return whole.split(separator: 0x0A).map { String(decoding: $0, as: UTF8.self) }
    }

    private static func identity(_ path: String) -> ino_t {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_ino : 0
    }
}
