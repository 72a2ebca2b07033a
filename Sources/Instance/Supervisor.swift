import Foundation
import Glibc
import Runtime

/// A process that supervisord keeps, as it reports it.
public struct SupervisedProcess: Sendable, Equatable {
    /// The function's name, or `nginx`, `postgres` or `rabbitmq`.
    public let group: String
    public let name: String
    /// supervisord's word: RUNNING, STARTING, BACKOFF, FATAL, STOPPED, …
    public let state: String
    public let pid: Int?

    public var isRunning: Bool { state == "RUNNING" }
    /// Also while it answers already: it counts as running once it has stayed up for a second.
    var isStarting: Bool { state == "STARTING" }

    /// Whether it is down and not about to run. In BACKOFF supervisord puts off its next try, by a second more after
    /// each that failed: after an outage of a night for minutes.
    var isIdle: Bool { ["BACKOFF", "EXITED", "FATAL", "STOPPED"].contains(state) }

    /// What supervisorctl takes for it.
    var address: String { group == name ? name : "\(group):\(name)" }

    /// Whether it runs or does so in a moment, with all that it was given.
    fileprivate var isUp: Bool { isRunning || isStarting }

    /// Whether it only keeps the listening socket of its group open while workers come and go.
    var isHolder: Bool { name == group + "_0" }

    /// Reads one line of `supervisorctl status`: `group:name  RUNNING  pid 12, uptime 0:00:05`.
    init?(line: Substring) {
        let words = line.split(separator: " ", omittingEmptySubsequences: true)
        guard words.count >= 2, words[1].allSatisfy({ $0.isUppercase }) else { return nil }
        let parts = words[0].split(separator: ":")
        group = String(parts[0])
        name = String(parts[parts.count - 1])
        state = String(words[1])
        pid = words.count > 3 && words[2] == "pid" ? Int(words[3].filter(\.isNumber)) : nil
    }
}

/// The supervisord of one instance.
struct Supervisor {
    let placement: Placement

    /// The running supervisord of this instance, also when its pid file is gone or names anything else.
    var process: RunningProcess? {
        let pid = FileManager.default.contents(atPath: placement.run + "/supervisord.pid")
            .flatMap { pid_t(String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)) }
        if let process = pid.flatMap({ RunningProcess(pid: $0) }), isOurs(process) { return process }
        // It leads its session from the moment it is a daemon. What starts it does not, nor does what it has forked and
        // not yet executed, and both look like it.
        return RunningProcess.all().first {
            $0.isSessionLeader && isOurs($0) && Ownership.owner(of: "/proc/\($0.pid)") == geteuid()
        }
    }

    private func isOurs(_ process: RunningProcess) -> Bool {
        process.command.contains(placement.supervisorConfiguration)
            && process.command.contains { $0.hasSuffix("supervisord") }
    }

    /// Whether the nginx that it keeps runs, with a configuration that listens at this port.
    func hasGateway(at port: Int) -> Bool {
        guard let process, RunningProcess.all().contains(where: { $0.parent == process.pid && $0.program == "nginx" }),
            let configuration = try? String(contentsOfFile: placement.nginxConfiguration, encoding: .utf8)
        else { return false }
        return configuration.contains("listen 127.0.0.1:\(port) ")
    }

    /// Starts it in the background, free of the terminal and of the caller's environment.
    func start() throws {
        unlink(placement.run + "/supervisord.pid")
        try Subprocess.check([try Subprocess.find("supervisord"), "-c", placement.supervisorConfiguration])
        guard waitUntil(seconds: 20, condition: { (try? answer()) != nil }) else {
            throw InstanceError("supervisord does not answer; see \(placement.logs)/supervisord.log")
        }
    }

    /// - Returns: nothing when it is ending; it is gone then.
    /// - Throws: `InstanceError` when it does not answer, or takes too long to end.
    func status() throws -> [SupervisedProcess] {
        let ending = process
        if let processes = try answer() { return processes }
        guard waitUntil(seconds: Self.secondsToEnd, condition: { ending?.isAlive != true }) else {
            throw InstanceError(
                "supervisord has been stopping everything for \(Int(Self.secondsToEnd)) s: make down waits until it is gone"
            )
        }
        return []
    }

    /// Whether it takes no orders any more although what it keeps may serve: its socket is gone.
    var isOutOfReach: Bool {
        process != nil && !FileManager.default.fileExists(atPath: placement.supervisorSocket)
    }

    /// Whether it stops everything and then ends, as after a `down` that was cut short.
    func isEnding() throws -> Bool { try process != nil && !isOutOfReach && answer() == nil }

    /// What it runs; `nil` when it is ending or gone.
    private func answer() throws -> [SupervisedProcess]? {
        let result = try control(["status"], seconds: Self.secondsToAnswer)
        // 3 says that something is not running, which the lines say too.
        if [0, 3].contains(result.status) {
            return result.output.split(separator: "\n").compactMap { SupervisedProcess(line: $0) }
        }
        // In its last moments it breaks connections off, then takes none.
        let isEnding =
            (result.output + result.errors).contains("SHUTDOWN_STATE") || waitUntil(seconds: 2) { process == nil }
        guard isEnding else { throw failure("status", result) }
        return nil
    }

    /// Takes over a changed configuration: only groups whose settings changed are stopped and started.
    ///
    /// supervisord keeps the socket of such a group open until its last worker has ended, and cuts off who waits in it
    /// then. So the socket loses its name before, and the gateway says at once that nothing was done.
    func update() throws {
        let news = try control(["reread"], seconds: Self.secondsToAnswer)
        guard news.status == 0 else { throw failure("reread", news) }
        let changed = news.output.split(separator: "\n").filter { !$0.hasSuffix(": available") }
        for line in changed { unlink("\(placement.functionSockets)/\(line.prefix { $0 != ":" }).sock") }
        let result = try control(["update"], stopping: changed.count)
        guard result.status == 0 else { throw failure("update", result) }
    }

    /// Functions that are up and whose socket has no name any more, as after an update that was cut short before it came
    /// to them: the gateway does not reach them until they are stopped and started.
    func unreachable(_ processes: [SupervisedProcess]) -> [String] {
        processes.filter { process in
            let socket = "\(placement.functionSockets)/\(process.group).sock"
            return process.isHolder && process.isUp && !FileManager.default.fileExists(atPath: socket)
        }.map(\.group)
    }

    func signal(_ signal: String, _ addresses: [String]) throws {
        let result = try control(["signal", signal] + addresses, seconds: Self.secondsToAnswer)
        guard result.status == 0 else { throw failure("signal", result) }
    }

    /// Stops those that run, and starts all at once, whatever they wait for. One that fails again is left to supervisord's
    /// next try.
    func restart(_ processes: [SupervisedProcess]) throws {
        guard !processes.isEmpty else { return }
        _ = try control(["restart"] + processes.map(\.address), stopping: processes.count)
    }

    private static let secondsToAnswer = 20.0
    private static let secondsToEnd = 60.0
    /// Of one program; a relay has fifteen seconds beyond its time limit.
    private static let secondsToStop = Double(NumberRule.timeout.range.upperBound + 15)

    /// - Parameter count: of what it may stop, one after the other.
    private func control(_ arguments: [String], stopping count: Int) throws -> Subprocess {
        try control(arguments, seconds: Self.secondsToAnswer + Self.secondsToStop * Double(count))
    }

    /// - Parameter seconds: longest wait.
    private func control(_ arguments: [String], seconds: Double) throws -> Subprocess {
        let command = [try Subprocess.find("supervisorctl"), "-c", placement.supervisorConfiguration] + arguments
        do {
            return try Subprocess.run(command, within: seconds)
        } catch is Subprocess.Overdue {
            let pid = process.map { "\($0.pid)" } ?? "its pid"
            throw InstanceError(
                "supervisord has not answered supervisorctl \(arguments[0]) for \(Int(seconds)) s: kill -CONT \(pid) "
                    + "when it was stopped, else kill -KILL \(pid), then taproom up")
        }
    }

    private func failure(_ verb: String, _ result: Subprocess) -> InstanceError {
        let said = (result.output + result.errors).trimmingCharacters(in: .whitespacesAndNewlines)
        return InstanceError("supervisorctl \(verb) failed: \(said)")
    }
}
