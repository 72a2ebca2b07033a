import Foundation
import Glibc
import TestSupport
import Testing

@testable import Instance

/// A state folder that was moved, one behind a link, and one that another user finds.
@Suite struct MovedFolderTests {
    private let instance: TestInstance

    init() throws { instance = try TestInstance(folder: TemporaryFolder()) }

    @Test(
        "what runs on the data of a folder that was moved keeps it from being removed",
        arguments: ["down", "clean-state"])
    func dataInUse(command: String) throws {
        let state = instance.state
        try StartedInstance(state: state).write()
        let process = try ChildProcess(
            "/bin/sh",
            arguments: ["-c", "while :; do sleep 0.1; done", "supervisord", state + "/supervisord.conf"],
            environment: [:])
        try instance.folder.write("state/run/supervisord.pid", "\(process.pid)\n")
        let moved = instance.folder.path + "/moved"
        #expect(rename(state, moved) == 0)
        let refused = try instance.run(command, variables: ["TAPROOM_STATE": moved])
        #expect(refused.status == 1 && refused.errors.contains("still runs: kill \(process.pid)"), "\(refused)")
        #expect(process.end == nil && FileManager.default.fileExists(atPath: moved + "/instance.json"))
        kill(process.pid, SIGTERM)
        _ = try process.waitForEnd()
        #expect(try instance.run(command, variables: ["TAPROOM_STATE": moved]).status == 0)
        #expect(FileManager.default.fileExists(atPath: moved) == (command == "down"))
    }

    @Test("sockets that lay elsewhere go with a folder that was moved", arguments: ["clean-state", "up"])
    func socketsElsewhere(command: String) throws {
        let project = try EventProject()
        let instance = try TestInstance(folder: project.folder, tool: project.tool)
        // So that it goes no further than it must here.
        try project.folder.remove("bin/ProbeFunction")
        let (old, run) = (instance.folder.path + "/old", instance.folder.path + "/taproom-old")
        try instance.folder.write("taproom-old/functions/ready.sock", "")
        try instance.folder.write("state/lock", "")
        symlink(run, instance.state + "/run")
        try StartedInstance(state: old, run: run).write(to: instance.state)
        _ = try instance.run(command)
        #expect(!FileManager.default.fileExists(atPath: run))
    }

    @Test("whose it is comes before what another user would have to change") func ownerFirst() throws {
        // Nobody else can give a file away.
        guard geteuid() == 0 else { return }
        let state = instance.state
        try instance.folder.write("state/lock", "")
        try instance.folder.write("state/log/x", "")
        let placement = Placement(state: state, data: instance.folder.path + "/data", run: state + "/run")
        for path in ["/lock", "/log", ""] { chown(state + path, 65534, 65534) }
        let refused = try instance.run("up")
        #expect(refused.errors.contains("\(state) belongs to nobody: run this as that user"), "\(refused)")
        chown(state + "/lock", 0, 0)
        let own = #expect(throws: InstanceError.self) { try placement.makeFolders(.current()) }
        #expect(own?.description.contains("give the folders above it mode 0755 again") == true)
    }

    @Test("the folder behind a link stays when it is forgotten, and is not made where its disk is away")
    func linkedFolder() throws {
        let project = try EventProject()
        let instance = try TestInstance(folder: project.folder, tool: project.tool)
        // So that it goes no further than it must here.
        try project.folder.remove("bin/ProbeFunction")
        let target = project.folder.path + "/elsewhere"
        symlink("elsewhere", instance.state)
        let absent = try instance.run("up").errors
        #expect(absent.contains("\(instance.state) is a link to elsewhere, which is not there"), "\(absent)")
        #expect(!FileManager.default.fileExists(atPath: target))
        mkdir(target, 0o755)
        for _ in 1...2 {
            #expect(try instance.run("up").errors.contains("not built: ProbeFunction"))
            #expect(try instance.run("clean-state").status == 0)
            #expect(try FileManager.default.contentsOfDirectory(atPath: target) == [])
        }
    }
}
