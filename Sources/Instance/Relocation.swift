import Foundation
import Glibc

/// Makes a state folder that was moved, or is a copy, an instance of its own; its data lies in it.
struct Relocation {
    /// As it was in the other folder.
    let record: InstanceRecord
    /// The folder where it is now.
    let state: String

    /// Takes away what names the other folder, and nothing that lasts; it may be run again.
    /// - Throws: see ``check()``.
    func run() throws {
        try check()
        // A folder, or a link to one for sockets when the path is long; this path need not be.
        if (try? FileManager.default.attributesOfItem(atPath: here.run)) != nil {
            try FileManager.default.removeItem(atPath: here.run)
        }
        try asNode { try renameQueues(from: record.placement.broker, to: here.broker) }
        try removeLeftRun()
    }

    /// Takes away the sockets and pid files of the other folder where that is gone: they may lie elsewhere, and nobody
    /// else finds them. What was started in it must have ended.
    func removeLeftRun() throws {
        guard record.isLeft, Ownership.owner(of: record.placement.run) != nil else { return }
        try FileManager.default.removeItem(atPath: record.placement.run)
    }

    private var here: Placement { Placement(state: record.state, data: state, run: state + "/run") }

    /// - Throws: `InstanceError` when what was started in the other folder may run on this data.
    func check() throws {
        for placement in record.isLeft ? [here, record.placement] : [here] {
            guard let supervisor = Supervisor(placement: placement).process else { continue }
            throw InstanceError(
                "what was started in \(record.state) still runs: "
                    + (record.isLeft
                        ? "kill \(supervisor.pid), which stops it" : "TAPROOM_STATE=\(record.state) make down")
                    + ", then run this command again")
        }
    }

    /// Does it with the node's rights: what is in its folder is the node's to change, also into links to what it may not
    /// write.
    private func asNode(_ body: () throws -> Void) throws {
        var status = stat()
        guard lstat(here.brokerHome, &status) == 0, status.st_uid != geteuid() else { return try body() }
        try Ownership.withRights(of: status, body)
    }

    /// RabbitMQ keeps the absolute path of a quorum queue's log in the file `config` beside it, and goes on there.
    private func renameQueues(from old: String, to new: String) throws {
        let folder = new + "/node/data/quorum"
        for name in (try? FileManager.default.subpathsOfDirectory(atPath: folder)) ?? [] {
            let file = "\(folder)/\(name)"
            var status = stat()
            guard name.hasSuffix("/config"), lstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
                let data = FileManager.default.contents(atPath: file)
            else { continue }
            let text = String(decoding: data, as: UTF8.self).replacingOccurrences(of: "\"\(old)/", with: "\"\(new)/")
            guard text.contains("\"\(new)/") else {
                throw InstanceError("\(file) does not name \(old), where the queue was: move the folder back there")
            }
            try writeFile(file, Data(text.utf8), mode: status.st_mode & 0o777)
        }
    }
}
