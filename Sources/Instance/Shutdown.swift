import Foundation
import Glibc
import Manifest
import Runtime

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
    /// - Throws: also for a folder that was moved while what was started in it runs.
    @discardableResult
    public func run() throws -> Bool {
        guard let lock = try lock() else { return false }
        defer { _ = lock }
        try refuseMoved()
        return try stop(placement)
    }

    /// Keeps others away from the state folder; `nil` where no instance was ever started.
    /// - Throws: also for a folder that is another user's.
    private func lock() throws -> StateLock? {
        let state = project.state
        let isOurs = ["instance.json", "lock"].contains { FileManager.default.fileExists(atPath: "\(state)/\($0)") }
        guard isOurs else { return nil }
        try Placement.refuseOtherUser(state)
        return try StateLock(state: state, progress: progress)
    }

    /// What was started before the folder was moved names the old one, and works on the data in this.
    private func refuseMoved() throws {
        let state = project.state
        guard let record = try? InstanceRecord.read(state: state), !record.isMade(in: state), record.isLeft else {
            return
        }
        try Relocation(record: record, state: state).check()
    }

    /// As remembered; without a record, or with one that is damaged or a copy of another folder's, as it is found.
    private var placement: Placement {
        let state = project.state
        return (try? InstanceRecord.load(state: state))?.placement ?? .found(in: state)
    }

    /// - Returns: whether anything ran.
    func stop(_ placement: Placement) throws -> Bool {
        let orphans = Orphans(placement: placement)
        guard let supervisor = Supervisor(placement: placement).process else {
            let isAnyLeft = !orphans.find().isEmpty
            if isAnyLeft {
                try progress.step("Stopping what an earlier supervisord left") {
                    try orphans.stop(finishingWithin: project.secondsToFinish)
                }
            }
            return isAnyLeft
        }
        try progress.step("Stopping nginx, the functions, RabbitMQ and PostgreSQL") {
            try stop(supervisor, logs: placement.logs)
            try orphans.stop(finishingWithin: project.secondsToFinish)
        }
        return true
    }

    private func stop(_ supervisor: RunningProcess, logs: String) throws {
        let children = RunningProcess.all().filter { $0.parent == supervisor.pid }
        kill(supervisor.pid, SIGTERM)
        // It stops one program after the other and takes a second for each. Once it has stopped the gateway, which
        // comes first, it starts nothing again, and the rest may as well stop at once; PostgreSQL and RabbitMQ when
        // nobody needs them.
        let gateway = children.filter { $0.program == "nginx" }
        let servers = children.filter(\.isServer)
        let functions = children.filter { !(gateway + servers).contains($0) }
        func end(_ programs: [RunningProcess]) {
            for process in programs where process.isAlive { kill(process.pid, process.stopSignal) }
        }
        _ = waitUntil(seconds: 40) { !gateway.contains(where: \.isAlive) }
        end(functions)
        // What they have in hand is lost without a database. One that does not end by itself is supervisord's to kill,
        // which then stops the rest.
        if waitUntil(seconds: project.secondsToFinish, condition: { !functions.contains(where: \.isAlive) }) {
            end(servers)
        }
        let longest = Double(Cluster.secondsToStop) + 60
        guard waitUntil(seconds: longest, condition: { !([supervisor] + children).contains(where: \.isAlive) }) else {
            throw InstanceError("supervisord \(supervisor.pid) does not stop; see \(logs)/supervisord.log")
        }
    }

    /// Stops it and removes everything it ever wrote.
    /// - Returns: whether there was an instance, or what is left of a start that was cut short.
    /// - Throws: as `run`, also for a folder that holds anything else than an instance; nothing is removed then.
    public func forget() throws -> Bool {
        let state = project.state
        guard FileManager.default.fileExists(atPath: state) else { return false }
        try Placement.refuseForeign(state)
        guard let lock = try lock() else { return false }
        defer { _ = lock }
        try refuseMoved()
        let placement = self.placement
        _ = try stop(placement)
        if let record = try? InstanceRecord.read(state: state), !record.isMade(in: state) {
            try Relocation(record: record, state: state).removeLeftRun()
        }
        try placement.remove(keepsFolder: project.isStateLinked)
        return true
    }
}

extension Project {
    /// How long a function may take to finish: the longest time limit, and as much more as supervisord gives at most.
    var secondsToFinish: Double {
        let limits = (try? manifest())?.functions.map(\.timeout) ?? []
        return Double((limits.max() ?? NumberRule.timeout.range.upperBound) + 15)
    }
}
