import Foundation
import Glibc
import TestSupport
import Testing

@testable import Instance

/// What the commands do with a state folder: whose it is, who works on it, what they find there.
@Suite struct StateFolderTests {
    private let instance: TestInstance

    init() throws { instance = try TestInstance(folder: TemporaryFolder()) }

    private func exists(_ name: String) -> Bool {
        FileManager.default.fileExists(atPath: "\(instance.folder.path)/\(name)")
    }

    // MARK: The lock

    @Test("clean-state removes nothing while another command works there") func cleanStateWaits() throws {
        let lock = try HeldLock(state: instance.state)
        try instance.folder.write("state/log/x.log", "")
        let child = try instance.start("clean-state")
        try lock.isAwaited(by: child)
        #expect(exists("state/log/x.log"))
        lock.release()
        #expect(try child.waitForEnd() == .exited(0))
        #expect(!exists("state"))
    }

    @Test("up that waited for clean-state starts anew, with a lock that counts") func upAfterCleanState() throws {
        let project = try EventProject()
        let instance = try TestInstance(folder: project.folder, tool: project.tool)
        // So that it goes no further than it must here.
        try project.folder.remove("bin/ProbeFunction")
        let first = try HeldLock(state: instance.state)
        let child = try instance.start("up")
        try first.isAwaited(by: child)
        try project.folder.remove("state")
        let second = try HeldLock(state: instance.state)
        first.release()
        try second.isAwaited(by: child)
        try project.folder.remove("state")
        second.release()
        #expect(try child.waitForEnd() == .exited(1))
        #expect(child.lines.contains { $0.contains("not built: ProbeFunction") }, "\(child.lines)")
    }

    // MARK: Whose it is

    @Test("what an instance made is its own, also without its record") func ownWithoutRecord() throws {
        for name in ["lock", "discarded-events.jsonl", "postgres.new/x"] {
            try instance.folder.write("state/\(name)", "")
        }
        let run = try instance.run("clean-state")
        #expect(run.status == 0 && !exists("state"), "\(run.errors)")
    }

    @Test("names that fit make no state folder of somebody's tools") func othersTools() throws {
        for name in ["bin/tool", "log/x", "tmp/x"] { try instance.folder.write("state/\(name)", "") }
        for command in ["clean-state", "up"] {
            let refused = try instance.run(command)
            #expect(refused.status != 0 && refused.errors.contains("is not a state folder: it holds bin"), "\(refused)")
            #expect(exists("state/bin/tool") && !exists("state/lock"))
        }
        #expect(try instance.run("down").output.hasPrefix("Nothing runs"))
        #expect(!exists("state/lock"))
    }

    @Test("an empty folder stays") func emptyFolder() throws {
        mkdir(instance.state, 0o755)
        #expect(try instance.run("clean-state").status == 0)
        #expect(exists("state"))
    }

    @Test("what cannot be a state folder is said with the way out") func impossibleFolder() throws {
        try instance.folder.write("file", "")
        let file = instance.folder.path + "/file"
        for (path, command) in [
            (file, "up"), (file, "clean-state"), (file + "/state", "up"), ("/dev/null", "up"),
            ("/dev/null", "clean-state"),
        ] {
            let refused = try instance.run(command, variables: ["TAPROOM_STATE": path])
            #expect(refused.status != 0 && refused.errors.contains(path), "\(refused.errors)")
            #expect(refused.errors.contains("set TAPROOM_STATE to a folder that"), "\(refused.errors)")
            #expect(!refused.errors.contains("chmod"), "\(refused.errors)")
        }
    }

    @Test("a quote in the path is refused, for RabbitMQ would never start", arguments: ["sta'te", "sta\"te"])
    func quotedPath(name: String) throws {
        let path = "\(instance.folder.path)/\(name)"
        mkdir(path, 0o755)
        let broker = Broker(
            placement: Placement(state: path, data: path, run: path), account: nil, port: 1, password: "secret")
        let error = #expect(throws: InstanceError.self) { try broker.prepare() }
        #expect(error?.description.contains("set TAPROOM_STATE to a folder without") == true)
    }

    @Test(
        "a path that a part cannot be told is refused before anything is made",
        arguments: [("st ;ate", ";"), ("st #ate", "#"), ("st$ate", "$"), ("st,ate", "comma")])
    func untellablePath(name: String, why: String) throws {
        let project = try EventProject()
        let instance = try TestInstance(folder: project.folder, tool: project.tool)
        // So that what starts all the same goes no further.
        try project.folder.remove("bin/ProbeFunction")
        let path = "\(project.folder.path)/\(name)"
        let refused = try instance.run("up", variables: ["TAPROOM_STATE": path])
        #expect(refused.status == 1 && refused.errors.contains(path), "\(refused)")
        #expect(refused.errors.contains("set TAPROOM_STATE") && refused.errors.contains(why), "\(refused.errors)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: path) == ["lock"])
    }

    // MARK: What was cut short

    @Test("a start that was cut short during initdb does not disturb the next") func startCutShort() throws {
        let project = try EventProject()
        let instance = try TestInstance(folder: project.folder, tool: project.tool)
        let first = try instance.start("up")
        try Eventually.happens("initdb runs", within: 120) {
            try #require(first.end == nil, "\(first.lines)")
            return RunningProcess.all().contains {
                $0.program == "initdb" && $0.command.contains { $0.contains(instance.state) }
            }
        }
        first.terminate()
        _ = try first.waitForEnd()
        #expect(try InstanceRecord.load(state: instance.state) == nil)
        let placement = Placement.found(in: instance.state)
        let cluster = Cluster(placement: placement, accounts: try .current(), port: 1)
        try cluster.initialise()
        try Eventually.happens("nothing is left of the first") {
            try cluster.initialise()
            let entries = try FileManager.default.contentsOfDirectory(atPath: placement.data)
            return !entries.contains { $0.hasPrefix("postgres.new") }
        }
        #expect(FileManager.default.fileExists(atPath: placement.cluster + "/global/pg_control"))
    }

    @Test("a stop that was cut short is not an error for status, and up finishes it") func stopCutShort() throws {
        let project = try EventProject()
        let instance = try TestInstance(folder: project.folder, tool: project.tool)
        // So that it goes no further than it must here.
        try project.folder.remove("bin/ProbeFunction")
        try StartedInstance(state: instance.state).write()
        func stopping() throws -> RunningProcess {
            try instance.supervise(["ready": #"/bin/sh -c "trap '' TERM; while :; do sleep 0.1; done""#])
            let placement = try #require(try InstanceRecord.load(state: instance.state)).placement
            let supervisor = try #require(Supervisor(placement: placement).process)
            kill(supervisor.pid, SIGTERM)
            return supervisor
        }
        var supervisor = try stopping()
        let status = try instance.run("status")
        #expect(status.status == 3 && status.output.contains("down: make up starts it"), "\(status)")
        #expect(!supervisor.isAlive)
        supervisor = try stopping()
        let up = try instance.run("up")
        #expect(up.errors.contains("not built: ProbeFunction"), "\(up)")
        #expect(!supervisor.isAlive, "\(up)")
    }

    @Test(
        "a supervisord whose pid file is gone or stale is stopped with all that it keeps, which it would start again",
        arguments: ["down", "clean-state"], [nil, "1\n"])
    func lostPIDFile(command: String, text: String?) throws {
        try StartedInstance(state: instance.state).write()
        mkdir(instance.state + "/bin", 0o755)
        try instance.folder.copy(executable: "/bin/sleep", to: "state/bin/ReadyFunction")
        try instance.supervise(["ready": instance.state + "/bin/ReadyFunction 600"])
        let placement = try #require(try InstanceRecord.load(state: instance.state)).placement
        let supervisor = try #require(Supervisor(placement: placement).process)
        defer { kill(supervisor.pid, SIGTERM) }
        let children = RunningProcess.all().filter { $0.parent == supervisor.pid }
        #expect(children.map(\.program) == ["ReadyFunction"])
        let file = "state/run/supervisord.pid"
        if let text { try instance.folder.write(file, text) } else { try instance.folder.remove(file) }
        let stopped = try instance.run(command)
        #expect(stopped.status == 0, "\(stopped)")
        #expect(!supervisor.isAlive && Orphans(placement: placement).find().isEmpty)
    }

    // MARK: What it remembers

    @Test("no command works with what another folder's record names", arguments: [true, false])
    func othersRecord(isCopy: Bool) throws {
        let project = try EventProject()
        let instance = try TestInstance(folder: project.folder, tool: project.tool)
        // So that what starts all the same goes no further.
        try project.folder.remove("bin/ProbeFunction")
        let (original, data) = (project.folder.path + "/original", project.folder.path + "/data")
        let folders = ["state"] + (isCopy ? ["original"] : [])
        let why = isCopy ? "is a copy of \(original)" : "was moved here from \(original)"
        for data in [data, original] {
            for folder in folders {
                try StartedInstance(state: original, data: data).write(to: "\(project.folder.path)/\(folder)")
            }
            for command in ["status", "restart", "demo", "up"] where command != "up" || data != original {
                let refused = try instance.run(command)
                #expect(refused.status == 1 && refused.errors.contains(why), "\(command): \(refused)")
            }
        }
        #expect(!FileManager.default.fileExists(atPath: data))
        // Its own data lies in it, so it is an instance like any other.
        #expect(try instance.run("up").errors.contains("not built: ProbeFunction"))
    }

    @Test("a state folder under another name is the same") func linkedName() throws {
        let name = instance.folder.path + "/name"
        symlink(instance.state, name)
        try StartedInstance(state: name).write(to: instance.state)
        #expect(try instance.run("status").output.contains("down: make up starts it"))
    }

    @Test("up changes the scope only for who names one") func scopeChange() throws {
        try StartedInstance(state: instance.state, scope: "staging").write()
        let refused = try instance.run("up")
        #expect(refused.status != 0)
        for scope in ["staging", "local"] {
            #expect(refused.errors.contains("taproom up --scope \(scope)"), "\(refused.errors)")
        }
        #expect(!exists("config.json"))
        // Who names one gets further: to the file that such a scope must bring.
        for named in [
            try instance.run("up", "--scope", "other"), try instance.run("up", variables: ["TAPROOM_SCOPE": "other"]),
        ] {
            #expect(named.status != 0 && named.errors.contains("config.json"), "\(named.errors)")
        }
    }

    @Test(
        "what works on the instance's database takes the instance's scope",
        arguments: [["customers", "rebuild"], ["rebuild-eligibility"]])
    func scopeOfCommands(command: [String]) throws {
        try StartedInstance(state: instance.state, scope: "absent").write()
        let run = try Subprocess.run(
            [TestProject.tool] + command, environment: ["TAPROOM_STATE": instance.state])
        #expect(run.status == 1 && run.errors.contains("absent_config.json is not usable"), "\(run)")
    }

    @Test("nothing in a log steers the terminal that shows it") func controlCharacters() throws {
        try StartedInstance(state: instance.state).write()
        try instance.folder.write(
            "state/log/charge.log", #"{"message":"\u001b[2Jgone","level":"info"}"# + "\n\tplain \u{1B}[2J\n")
        let shown = try Subprocess.run(
            ["/usr/bin/script", "-qec", "\(TestProject.tool) logs charge", "/dev/null"],
            environment: ["TAPROOM_STATE": instance.state])
        #expect(shown.output.contains("info \u{FFFD}[2Jgone"), "\(shown)")
        #expect(shown.output.contains("    plain \u{FFFD}[2J") && !shown.output.contains("\u{1B}"), "\(shown)")
    }

    @Test("a log that cannot be shown is an error, also when it is followed") func unwritableOutput() throws {
        try StartedInstance(state: instance.state).write()
        try instance.folder.write("state/log/charge.log", "{}\n")
        for follow in ["", "--follow"] {
            let full = try Subprocess.run(
                ["/bin/sh", "-c", "exec timeout 60 \(TestProject.tool) logs \(follow) charge >/dev/full"],
                environment: ["TAPROOM_STATE": instance.state])
            #expect(full.status == 1 && full.errors.contains("standard output cannot be written"), "\(full)")
        }
    }

    @Test("a log that nobody reads any more is not followed") func outputClosed() throws {
        try StartedInstance(state: instance.state).write()
        try instance.folder.write("state/log/charge.log", "{}\n")
        let followed = try Subprocess.run(
            ["/bin/bash", "-c", "timeout 60 \(TestProject.tool) logs --follow charge | head -1; echo $PIPESTATUS"],
            environment: ["TAPROOM_STATE": instance.state])
        #expect(followed.output == "charge  {}\n0\n", "\(followed)")
    }

    /// A process that passes for the instance's supervisord.
    private func supervisor() throws -> ChildProcess {
        let process = try ChildProcess(
            "/bin/sh",
            arguments: ["-c", "while :; do sleep 0.1; done", "supervisord", instance.state + "/supervisord.conf"],
            environment: [:])
        try instance.folder.write("state/run/supervisord.pid", "\(process.pid)\n")
        return process
    }

    @Test("a lost or damaged record hides nothing that runs", arguments: ["down", "clean-state"])
    func lostRecord(command: String) throws {
        for damaged in [true, false] {
            try instance.folder.write("state/lock", "")
            if damaged { try instance.folder.write("state/instance.json", "{") }
            let process = try supervisor()
            if damaged {
                let refused = try instance.run("up")
                #expect(refused.errors.contains("is damaged") && refused.errors.contains("run make down"))
            }
            let run = try instance.run(command)
            #expect(run.status == 0 && !run.output.contains("Nothing"), "\(run)")
            #expect(try process.waitForEnd() == .killed(signal: SIGTERM))
            #expect(exists("state") == (command == "down"))
            if damaged, command == "down" { try instance.folder.remove("state/instance.json") }
        }
    }
}
