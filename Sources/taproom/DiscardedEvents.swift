import Foundation
import Instance
import Messaging
import Runtime

/// `discarded-events.jsonl` of a state folder: what operators have removed for ever, a line each.
struct DiscardedEvents: ~Copyable {
    private struct Entry: Encodable {
        let at: String
        let who: String
        let why: String
        let letter: DeadLetter
    }

    private let path: String
    private let file: Int32

    /// - Throws: `InstanceError` when the folder is another user's, or the file cannot be written.
    init(state: String) throws {
        try Placement.refuseOtherUser(state)
        let path = state + "/discarded-events.jsonl"
        let file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw InstanceError("\(path) cannot be written: \(String(cString: strerror(errno)))") }
        (self.path, self.file) = (path, file)
    }

    deinit { close(file) }

    /// Adds the whole line and waits for the disk, or adds nothing.
    /// - Throws: `InstanceError` when nothing was added.
    func append(_ letter: DeadLetter, who: String, why: String) throws {
        let entry = Entry(at: Date.now.formatted(.iso8601), who: who, why: why, letter: letter)
        let line = try JSON.encode(entry) + [UInt8(ascii: "\n")]
        // Nobody else adds a line while this one may be taken back.
        flock(file, LOCK_EX)
        defer { flock(file, LOCK_UN) }
        let size = lseek(file, 0, SEEK_END)
        var rest = line[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
            guard written > 0 else { break }
            rest = rest.dropFirst(written)
        }
        if rest.isEmpty, fsync(file) == 0 { return }
        let reason = String(cString: strerror(errno))
        ftruncate(file, size)
        throw InstanceError(
            "\(path) cannot be written: \(reason); \(letter.id.printable) and those after it were not removed")
    }
}
