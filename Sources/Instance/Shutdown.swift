import Foundation
import Glibc

/// Stops an instance and keeps its data.
public struct Shutdown {
    let project: Project
    let progress: Progress

    public init(project: Project, progress: Progress) {
        self.project = project
        self.progress = progress
    }

    /// Stops everything that belongs to the state folder, and nothing else, and waits until it is gone.
    /// - Returns: whether anything ran.
    @discardableResult
    public func run() throws -> Bool {
        guard let record = try InstanceRecord.load(state: project.state) else { return false }
        let lock = try StateLock(state: record.state) {
            progress.say("  another taproom works on \(record.state): waiting for it to finish")
        }
        defer { _ = lock }
        let orphans = Orphans(placement: record.placement)
        guard let supervisor = Supervisor(placement: record.placement).process else {
            let isAnyLeft = !orphans.find().isEmpty
            if isAnyLeft { try progress.step("Stopping what an earlier supervisord left") { try orphans.stop() } }
            return isAnyLeft
        }
        try progress.step("Stopping the functions, nginx and PostgreSQL") {
            let children = RunningProcess.all().filter { $0.parent == supervisor.pid }
            kill(supervisor.pid, SIGTERM)
            // Longest in turn: functions finish what they have in hand, PostgreSQL writes its last checkpoint.
            guard waitUntil(seconds: 180, condition: { !([supervisor] + children).contains(where: \.isAlive) }) else {
                throw InstanceError(
                    "supervisord \(supervisor.pid) does not stop; see \(record.placement.logs)/supervisord.log")
            }
            try orphans.stop()
        }
        return true
    }

    /// Stops it and removes everything it ever wrote.
    public func forget() throws {
        try run()
        let state = project.state
        try InstanceRecord.load(state: state)?.placement.remove()
        let isOurs = FileManager.default.fileExists(atPath: state + "/lock")
        if isOurs { try FileManager.default.removeItem(atPath: state) }
    }
}
