import Foundation
import Glibc
import TestSupport
import Testing

@testable import Instance

/// The start after one that failed, the stop after supervisord was killed, and what a killed PostgreSQL leaves.
@Suite struct KilledTests {
    @Test("new code is taken over, and down finds everything, where root may not look into processes")
    func withoutPtrace() throws {
        let project = try EventProject()
        let instance = try TestInstance(folder: project.folder, tool: project.tool, mayTrace: false)
        func up() throws {
            let up = try instance.run("up")
            try #require(up.status == 0, "\(up.output)\(up.errors)")
        }
        try up()
        let libraries = project.folder.path + "/bin/libraries"
        let built = try FileManager.default.destinationOfSymbolicLink(atPath: libraries)
        unlink(libraries)
        try Subprocess.check(["/bin/cp", "-a", built, libraries])
        for part in ["LivezFunction", "libraries/libswift.so"] {
            let before = try instance.report().functions
            let file = try FileHandle(forWritingTo: URL(filePath: "\(project.folder.path)/bin/\(part)"))
            try file.seekToEnd()
            try file.write(contentsOf: Data("another build".utf8))
            try file.close()
            try up()
            for (old, new) in zip(before, try instance.report().functions) {
                #expect((old.pids != new.pids) == (old.name == "ready"), "\(part): \(old.name)")
            }
        }

        let placement = try #require(try InstanceRecord.load(state: instance.state)).placement
        let supervisor = try #require(Supervisor(placement: placement).process)
        let children = RunningProcess.all().filter { $0.parent == supervisor.pid }
        let nginx = try #require(children.first { $0.program == "nginx" })
        let workers = RunningProcess.all().filter { $0.parent == nginx.pid }
        #expect(children.contains { $0.program == "beam.smp" } && !workers.isEmpty)
        for process in [supervisor, nginx] { kill(process.pid, SIGKILL) }
        let down = try instance.run("down")
        #expect(down.status == 0 && !down.output.contains("Nothing runs"), "\(down)")
        #expect((children + workers).filter(\.isAlive).map(\.command) == [])
    }

    @Test("a start that failed is not remembered, and no pid of another process keeps PostgreSQL down")
    func failedStartAndStalePID() throws {
        let project = try EventProject()
        let instance = try TestInstance(folder: project.folder, tool: project.tool)
        func up() throws -> Subprocess { try instance.run("up") }
        let first = try up()
        try #require(first.status == 0, "\(first.output)\(first.errors)")
        let record = try #require(try InstanceRecord.load(state: instance.state))
        let description = try project.folder.read("openapi.yml")
        try project.folder.remove("openapi.yml")
        let refused = try instance.run("up", port: Loopback.freePort())
        #expect(refused.status == 1 && refused.errors.contains("openapi.yml cannot be read"), "\(refused)")
        #expect(try InstanceRecord.load(state: instance.state) == record)
        try project.folder.write("openapi.yml", description)
        // As an earlier version remembered it: the port is known by the nginx that listens there.
        let text = try project.folder.read("state/instance.json")
        let other = ["\"gatewayPort\" : ", "127.0.0.1:"].reduce(text) {
            $0.replacing("\($1)\(instance.port)", with: "\($1)\(instance.port + 1)")
        }
        #expect(other != text)
        try project.folder.write("state/instance.json", other)
        let second = try up()
        #expect(second.status == 0, "\(second)")
        #expect(try InstanceRecord.load(state: instance.state) == record)

        #expect(try instance.run("down").status == 0)
        let placement = record.placement
        let account = try Accounts.current().database
        let command = try Subprocess.command([Subprocess.find("sleep"), "600"], as: account)
        let process = try ChildProcess(command[0], arguments: Array(command.dropFirst()), environment: [:])
        let socketLock = "\(placement.databaseSocket)/.s.PGSQL.\(try #require(record.databasePort)).lock"
        for (path, more) in [(placement.cluster + "/postmaster.pid", "\n    1 999999999\nready   "), (socketLock, "")] {
            let text = "\(process.pid)\n\(placement.cluster)\n1\n5432\n\(placement.databaseSocket)\n127.0.0.1\(more)\n"
            try writeFile(path, Data(text.utf8), mode: 0o600)
            if let account { chown(path, account.uid, account.gid) }
        }
        let third = try up()
        #expect(third.status == 0, "\(third)")
        process.kill()
    }

    /// As a session does that outlives its server, or the server itself.
    @Test("what a living PostgreSQL has locked stays locked", arguments: [true, false])
    func livingLock(isSession: Bool) throws {
        let folder = try TemporaryFolder()
        try folder.write("sockets/.s.PGSQL.5432.lock", "1\n")
        let key = key_t.random(in: 1...(.max))
        let segment = shmget(key, 64, IPC_CREAT | IPC_EXCL | 0o600)
        try #require(segment >= 0)
        defer { shmctl(segment, IPC_RMID, nil) }
        let memory = try #require(shmat(segment, nil, 0))
        let server = try ChildProcess(
            "/bin/sh", arguments: ["-c", "while :; do sleep 0.1; done", "postgres", "-D", folder.path],
            environment: [:])
        try folder.write(
            "postmaster.pid", "\(isSession ? 1 : server.pid)\n\n\n\n\n\n \(isSession ? key : 1) \(segment)\n")
        let locks = ClusterLocks(cluster: folder.path, socketFolder: folder.path + "/sockets")
        func left() -> [Bool] {
            ["postmaster.pid", "sockets/.s.PGSQL.5432.lock"].map {
                FileManager.default.fileExists(atPath: "\(folder.path)/\($0)")
            }
        }
        locks.removeLeft()
        #expect(left() == [true, true])
        shmdt(memory)
        server.kill()
        _ = try server.waitForEnd()
        locks.removeLeft()
        #expect(left() == [false, false])
    }
}
