import Foundation
import Glibc
import TestSupport
import Testing

@testable import Instance

/// What other users may have put where a command works with more rights than theirs. Only root can make that: where
/// somebody else runs the tests, they look at what that user can.
@Suite struct OwnershipTests {
    private let folder: TemporaryFolder
    private let placement: Placement
    /// Some user who runs none of our parts.
    private let nobody: uid_t = 65534

    init() throws {
        folder = try TemporaryFolder()
        let state = folder.path + "/state"
        mkdir(state, 0o755)
        placement = Placement(state: state, data: state, run: state + "/run")
    }

    /// Of the file or link itself.
    private func status(_ path: String) throws -> stat {
        var status = stat()
        try #require(lstat(path, &status) == 0, "\(path)")
        return status
    }

    private func mode(_ path: String) throws -> mode_t { try status(path).st_mode & 0o777 }

    // MARK: Links

    @Test("where root gives files away others make none, and links that they left are gone") func leftLinks() throws {
        let accounts = try Accounts.current()
        try folder.write("mine", "secret")
        let mine = folder.path + "/mine"
        chmod(mine, 0o600)
        // As an earlier version left it, and the user to whom it belonged.
        for name in [placement.temporary, placement.functionSockets] {
            try FileManager.default.createDirectory(atPath: name, withIntermediateDirectories: true)
        }
        let links = ["/tmp/client_body", "/run/functions/shop.signal", "/run/functions/supervisor.sock"]
        for link in links { symlink(mine, placement.state + link) }
        if let server = accounts.server {
            for name in [placement.temporary, placement.functionSockets] { chown(name, server.uid, server.gid) }
        }
        try placement.makeFolders(accounts)
        try placement.makeSignals(["shop"], owner: accounts.server)

        #expect(try mode(mine) == 0o600 && status(mine).st_uid == geteuid())
        let left = links.filter {
            (try? FileManager.default.destinationOfSymbolicLink(atPath: placement.state + $0)) != nil
        }
        #expect(left == [])
        for (path, expected) in [(placement.temporary, 0o711), (placement.functionSockets, 0o750)] as [(String, mode_t)]
        {
            #expect(try status(path).st_uid == geteuid() && mode(path) == expected, "\(path)")
        }
        #expect(try status(placement.functionSockets).st_gid == accounts.server?.gid ?? getegid())
        let signal = try status(placement.signal(of: "shop"))
        #expect(signal.st_mode & S_IFMT == S_IFIFO && signal.st_mode & 0o777 == 0o660)
        #expect(signal.st_uid == accounts.server?.uid ?? geteuid())
    }

    @Test("a signal that is not a pipe is named") func noPipe() throws {
        try folder.write("state/run/functions/shop.signal", "")
        let error = #expect(throws: InstanceError.self) { try placement.makeSignals(["shop"], owner: nil) }
        #expect(error?.description == "\(placement.signal(of: "shop")) is not a named pipe: remove it")
    }

    @Test("a file is not written through a link that waits for it") func waitingLink() throws {
        try folder.write("mine", "old")
        symlink(folder.path + "/mine", "\(folder.path)/file.new.\(getpid())")
        try writeFile(folder.path + "/file", Data("new".utf8), mode: 0o600)
        #expect(try folder.read("mine") == "old" && folder.read("file") == "new")
        #expect(try status(folder.path + "/file").st_mode & S_IFMT == S_IFREG)
    }

    @Test("the queues of a folder that was moved are renamed with the broker's rights") func movedQueues() throws {
        let old = folder.path + "/old"
        let text = "{name,\"\(old)/rabbitmq/node/data/quorum/q\"}"
        for name in ["mine", "linked", "other/quorum/q/config"] { try folder.write(name, text) }
        let queues = placement.brokerHome + "/data/quorum"
        for name in ["a", "b"] { try folder.write("state/rabbitmq/node/data/quorum/\(name)/config", text) }
        symlink(folder.path + "/mine", "\(queues)/a/config.new.\(getpid())")
        unlink(queues + "/b/config")
        symlink(folder.path + "/linked", queues + "/b/config")
        let isRoot = geteuid() == 0
        if isRoot { try Subprocess.check(["/bin/chown", "-hR", "\(nobody):\(nobody)", placement.brokerHome]) }
        let record = InstanceRecord(
            state: old, data: old, run: old + "/run", scope: "local", configurationFile: "", gatewayPort: 1,
            databasePort: nil, brokerPort: nil, rabbitmq: nil, databases: [:], parameters: [:])
        let relocation = Relocation(record: record, state: placement.state)
        try relocation.run()
        #expect(try folder.read("mine") == text && folder.read("linked") == text)
        #expect(
            try folder.read("state/rabbitmq/node/data/quorum/a/config") == text.replacing(old, with: placement.state))
        #expect(try status(queues + "/a/config").st_uid == (isRoot ? nobody : geteuid()))
        #expect(try status(folder.path + "/mine").st_uid == geteuid())
        // Nor does a link instead of a folder lead to what it may not write.
        guard isRoot else { return }
        #expect(rename(placement.brokerHome + "/data", placement.brokerHome + "/was") == 0)
        symlink(folder.path + "/other", placement.brokerHome + "/data")
        #expect(throws: SystemError.self) { try relocation.run() }
        #expect(try folder.read("other/quorum/q/config") == text)
    }

    // MARK: The state folder

    @Test(
        "no command works with a state folder that another user may have filled",
        arguments: ["", "/instance.json", "/lock"])
    func foreignState(name: String) throws {
        let instance = try TestInstance(folder: folder)
        let (state, data) = (instance.state, folder.path + "/data")
        try folder.write("data/log/x", "")
        try folder.write("state/lock", "")
        try StartedInstance(state: state, data: data).write()
        let isRoot = geteuid() == 0
        if isRoot { chown(state + name, nobody, nobody) } else { chmod(state, 0o777) }
        let why = isRoot ? "\(state)\(name) belongs to nobody: " : "everybody may write into \(state): "
        for command in ["status", "routes", "logs", "restart", "up", "down", "clean-state"] {
            let refused = try instance.run(command)
            #expect(refused.status == 1 && refused.errors.contains(why), "\(command): \(refused)")
            #expect(refused.errors.contains("set TAPROOM_STATE to a folder"), "\(refused)")
            if isRoot { #expect(refused.errors.contains("chown root \(state)") == name.isEmpty, "\(refused)") }
        }
        #expect(try instance.run("doctor").output.contains(why))
        #expect(FileManager.default.fileExists(atPath: data + "/log/x"))
        // So that what clears up after this test may.
        if isRoot { chown(state + name, 0, 0) } else { chmod(state, 0o755) }
    }

    @Test("a state folder that its group may write into is taken, and kept from it") func groupWritable() throws {
        let project = try EventProject()
        let instance = try TestInstance(folder: project.folder, tool: project.tool)
        // So that it goes no further than it must here.
        try project.folder.remove("bin/ProbeFunction")
        mkdir(instance.state, 0o755)
        chmod(instance.state, 0o775)
        #expect(try instance.run("up").errors.contains("not built: ProbeFunction"))
        #expect(try mode(instance.state) == 0o755)
    }

    @Test("logs that everybody could read are closed") func openLogs() throws {
        try folder.write("state/log/nginx.log", "a line\n")
        chmod(placement.logs + "/nginx.log", 0o644)
        try placement.makeLogs(["nginx", "access"], owner: nil)
        #expect(try mode(placement.logs + "/nginx.log") == 0o640 && mode(placement.logs + "/access.log") == 0o640)
        #expect(try folder.read("state/log/nginx.log") == "a line\n")
    }

    // MARK: The checkout

    @Test("a checkout around the working folder is one's own, root's or the tool's") func checkouts() throws {
        let project = try EventProject()
        let path = project.folder.path
        func routes(_ tool: String) throws -> Subprocess {
            try Subprocess.run(["/usr/bin/env", "--chdir=\(path)/migrations", tool, "routes"])
        }
        let own = try routes(TestProject.tool)
        #expect(own.status == 0 && own.output.contains("shop.paid"), "\(own)")
        // Nobody else can give a file away.
        guard geteuid() == 0 else { return }
        for name in ["", "/functions.yml"] {
            chown(path + name, nobody, nobody)
            let refused = try routes(TestProject.tool)
            #expect(refused.status == 1 && refused.errors.contains("\(path)\(name) belongs to nobody"), "\(refused)")
            #expect(try routes(project.tool).output == own.output)
            chown(path + name, 0, 0)
        }
    }
}
