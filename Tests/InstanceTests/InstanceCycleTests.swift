import Foundation
import Postgres
import Runtime
import TestSupport
import Testing

@testable import Instance

/// The real supervisord, nginx, PostgreSQL, RabbitMQ and functions, started by the tool itself.
@Suite(.serialized) struct InstanceCycleTests {
    @Test("up, status, up again, a crash of supervisord, down") func instanceCycle() throws {
        let instance = try TestInstance(folder: TemporaryFolder())
        let first = try instance.run("up")
        try #require(first.status == 0, "\(first.output)\(first.errors)")
        #expect(first.output.contains("http://127.0.0.1:\(instance.port)/club/{id}/subscribe/"))
        #expect(instance.gateway.get("/readyz")?.status == 200)

        let report = try instance.report()
        #expect(report.gateway == "http://127.0.0.1:\(instance.port)")
        #expect(report.state == instance.state)
        #expect(report.functions.allSatisfy { $0.state == "running" && $0.pids.count == 1 })
        let others = Dictionary(report.functions.map { ($0.name, $0.kind) }) { $1 }.filter { $0.value != "http" }
        #expect(others["settle-charges"] == "schedule" && others["relay-subscriptions"] == "outbox")
        for pid in report.functions.flatMap(\.pids) {
            let executable = try #require(RunningProcess(pid: pid_t(pid))?.executable)
            #expect(executable.hasSuffix("Function"), "a holder counts as a worker: \(executable)")
        }
        try databasesAreTheirServices(report)
        let placement = try #require(try InstanceRecord.load(state: instance.state)).placement
        try logsAreClosed(placement)
        for name in ["nginx", "access", "supervisord"] { chmod("\(placement.logs)/\(name).log", 0o644) }

        // As an instance of an earlier version kept it.
        #expect(try subscriptionsVerifier(report).hasPrefix("SCRAM-SHA-256$1:"))
        let password = try #require(URLComponents(string: report.databases["subscriptions"] ?? "")?.password)
        try administer(report, "ALTER ROLE subscriptions PASSWORD '\(password)'")
        #expect(try subscriptionsVerifier(report).hasPrefix("SCRAM-SHA-256$4096:"))

        let second = try instance.run("up")
        #expect(second.status == 0, "\(second.output)\(second.errors)")
        #expect(try subscriptionsVerifier(report).hasPrefix("SCRAM-SHA-256$1:"))
        #expect(try instance.report().functions.map(\.pids) == report.functions.map(\.pids), "up restarted something")

        let restart = try instance.run("restart", "clubs")
        #expect(restart.status == 0, "\(restart.errors)")
        for (old, new) in zip(report.functions, try instance.report().functions) {
            #expect((old.pids != new.pids) == (old.name == "clubs"), "\(old.name)")
        }

        try logsAreClosed(placement)
        try statusSeesNginx(instance, placement)
        try nothingOutlivesSupervisord(instance, placement)

        let down = try instance.run("down")
        #expect(down.status == 0, "\(down.errors)")
        #expect(Orphans(placement: placement).find().isEmpty)
        #expect(Ports.isFree(instance.port))
        #expect(try instance.report().functions.allSatisfy { $0.state == "stopped" && $0.pids.isEmpty })
        #expect(try instance.run("down").output.contains("Nothing runs"))

        #expect(try instance.run("clean-state").status == 0)
        #expect(!FileManager.default.fileExists(atPath: instance.state))
    }

    /// Customers' emails stand in them.
    private func logsAreClosed(_ placement: Placement) throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: placement.logs) {
            let attributes = try FileManager.default.attributesOfItem(atPath: "\(placement.logs)/\(name)")
            #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o640, "\(name)")
        }
    }

    private func statusSeesNginx(_ instance: TestInstance, _ placement: Placement) throws {
        #expect(try instance.run("status").status == 0)
        for (verb, status) in [("stop", 3), ("start", 0)] as [(String, Int32)] {
            try Subprocess.check([
                Subprocess.find("supervisorctl"), "-c", placement.supervisorConfiguration, verb, "nginx",
            ])
            #expect(try instance.run("status").status == status, "after \(verb)")
        }
    }

    /// Neither what only holds a socket nor nginx's workers, whom their master does not stop when it is killed, too.
    private func nothingOutlivesSupervisord(_ instance: TestInstance, _ placement: Placement) throws {
        let supervisor = Supervisor(placement: placement)
        func processes() throws -> [RunningProcess] {
            try supervisor.status().compactMap { $0.pid }.compactMap { RunningProcess(pid: pid_t($0)) }
        }
        for isSupervisorKilled in [false, true] {
            var gone = try processes()
            let nginx = try #require(gone.first { $0.program == "nginx" })
            let workers = RunningProcess.all().filter { $0.parent == nginx.pid }
            #expect(!workers.isEmpty)
            // Its master is known by its arguments, too, and the workers by a log that was moved away.
            unlink(placement.logs + "/nginx.log")
            if isSupervisorKilled { kill(try #require(supervisor.process).pid, SIGKILL) } else { gone = [nginx] }
            kill(nginx.pid, SIGKILL)
            let up = try instance.run("up")
            #expect(up.status == 0, "\(up.output)\(up.errors)")
            #expect(instance.gateway.get("/readyz")?.status == 200)
            #expect((gone + workers).filter(\.isAlive).map(\.command) == [])
        }
    }

    /// Each role reads and writes its own tables, empties them, and cannot even connect to the others'.
    private func databasesAreTheirServices(_ report: TestInstance.Report) throws {
        let subscriptions = try #require(report.databases["subscriptions"])
        let orders = try #require(report.databases["orders"])
        let session = try Connection(url: subscriptions, application: "test", deadline: .soon)
        try session.run(script: "INSERT INTO club (name) VALUES ('x'); TRUNCATE club CASCADE", deadline: .soon)
        let wrong = String(orders.dropLast("orders".count)) + "subscriptions"
        let refusal = #expect(throws: PostgresError.self) {
            try Connection(url: wrong, application: "test", deadline: .soon)
        }
        #expect("\(refusal as Any)".contains("permission denied for database"))
        try passwordsAreAskedFor(report)
    }

    private func subscriptionsVerifier(_ report: TestInstance.Report) throws -> String {
        let rows = try administer(report, "SELECT rolpassword FROM pg_authid WHERE rolname = 'subscriptions'")
        return try #require(rows.first).decode(String.self)
    }

    @discardableResult
    private func administer(_ report: TestInstance.Report, _ script: String) throws -> Rows {
        let placement = try #require(try InstanceRecord.load(state: report.state)).placement
        let port = try #require(URLComponents(string: report.databases["subscriptions"] ?? "")?.port)
        let password = try String(contentsOfFile: placement.data + "/postgres.password", encoding: .utf8)
        let url = Cluster.socketURL(
            service: "postgres", password: password, folder: placement.databaseSocket, port: port)
        return try Connection(url: url, application: "test", deadline: .soon).run(script: script, deadline: .soon)
    }

    /// Both on TCP, where server and client prove to each other what they know, and on the functions' socket.
    private func passwordsAreAskedFor(_ report: TestInstance.Report) throws {
        let parts = try #require(URLComponents(string: report.databases["subscriptions"] ?? ""))
        let (password, port) = (try #require(parts.password), try #require(parts.port))
        let placement = try #require(try InstanceRecord.load(state: report.state)).placement
        let folder = placement.databaseSocket
        for (password, isRight) in [(password, true), ("0" + password, false)] {
            let urls = [
                Cluster.tcpURL(service: "subscriptions", password: password, port: port),
                Cluster.socketURL(service: "subscriptions", password: password, folder: folder, port: port),
            ]
            for url in urls {
                let session = try? Connection(url: url, application: "test", deadline: .soon)
                #expect((session != nil) == isRight, "\(url.contains("127.0.0.1") ? "TCP" : "socket")")
            }
        }
    }

    @Test("a state folder that other users cannot enter works, and clean-state leaves nothing")
    func closedFolder() throws {
        let instance = try TestInstance(folder: .closed())
        let up = try instance.run("up")
        try #require(up.status == 0, "\(up.output)\(up.errors)")
        #expect(instance.gateway.get("/readyz")?.status == 200)
        let placement = try #require(try InstanceRecord.load(state: instance.state)).placement
        #expect((placement.data == instance.state) == (geteuid() != 0))
        let log = try String(contentsOfFile: instance.state + "/log/readyz.log", encoding: .utf8)
        #expect(log.contains("GET /readyz"))
        #expect(try instance.run("clean-state").status == 0)
        for folder in [placement.state, placement.data, placement.run] {
            #expect(!FileManager.default.fileExists(atPath: folder))
        }
    }

    @Test("after an outage of a night everything starts at once, and clean-state needs no record")
    func longOutage() throws {
        let instance = try TestInstance(folder: .closed())
        let first = try instance.run("up")
        try #require(first.status == 0, "\(first.output)\(first.errors)")
        let placement = try #require(try InstanceRecord.load(state: instance.state)).placement
        let supervisor = Supervisor(placement: placement)
        /// Runs a script that calls `supervisorctl` as `"$@"`.
        func control(_ script: String) throws {
            let command = [try Subprocess.find("supervisorctl"), "-c", placement.supervisorConfiguration]
            _ = try Subprocess.run(["/bin/sh", "-c", script, "sh"] + command)
        }
        func state() throws -> String? { try supervisor.status().first { $0.name == "clubs_1" }?.state }

        // Each start that fails puts off the next by a second more. supervisord looks after its processes once a second,
        // and whenever it is asked something.
        let executable = placement.executables + "/ClubsFunction"
        unlink(executable)
        try Data("#!/bin/sh\nexit 1\n".utf8).write(to: URL(filePath: executable))
        chmod(executable, 0o755)
        try control(
            """
            yes pid | "$@" >/dev/null & asks=$!
            yes 'restart clubs:clubs_1' | head -n 100 | "$@" >/dev/null
            kill $asks
            """)
        #expect(try state() == "BACKOFF")
        let up = try instance.run("up")
        try #require(up.status == 0, "\(up.output)\(up.errors)")

        try control("\"$@\" stop clubs:clubs_1")
        let restart = try instance.run("restart", "clubs")
        #expect(try restart.status == 0 && state() == "RUNNING", "\(restart.output)\(restart.errors)")

        let lock = try HeldLock(state: instance.state)
        let child = try instance.start("restart", "clubs")
        try lock.isAwaited(by: child)
        lock.release()
        #expect(try child.waitForEnd() == .exited(0))

        let processes = try supervisor.status().compactMap { $0.pid.flatMap { RunningProcess(pid: pid_t($0)) } }
        unlink(instance.state + "/instance.json")
        #expect(try instance.run("clean-state").status == 0)
        #expect(!processes.isEmpty && !processes.contains(where: \.isAlive))
        for folder in [placement.state, placement.data, placement.run] {
            #expect(!FileManager.default.fileExists(atPath: folder))
        }
    }

    @Test("a folder of somebody else's is not a state folder") func othersFolder() throws {
        let instance = try TestInstance(folder: TemporaryFolder())
        try instance.folder.write("other/lock", "")
        try instance.folder.write("other/lib/data", "theirs")
        let other = instance.folder.path + "/other"
        for command in ["up", "clean-state"] {
            let refused = try instance.run(command, variables: ["TAPROOM_STATE": other])
            #expect(refused.status != 0)
            #expect(refused.errors.contains("\(other) is not a state folder: it holds lib"), "\(refused.errors)")
        }
        #expect(try instance.folder.read("other/lib/data") == "theirs")
        // What a start left that was cut short before it wrote its record.
        try instance.folder.remove("other/lib/data")
        rmdir(other + "/lib")
        mkdir(other + "/log", 0o755)
        #expect(try instance.run("clean-state", variables: ["TAPROOM_STATE": other]).status == 0)
        #expect(!FileManager.default.fileExists(atPath: other))
        let nothing = try instance.run("clean-state", variables: ["TAPROOM_STATE": other])
        #expect(nothing.output == "Nothing to delete in \(other).\n")
    }

    @Test("a taken port is named with the way out") func takenPort() throws {
        let instance = try TestInstance(folder: TemporaryFolder())
        let other = try TestInstance(folder: TemporaryFolder())
        #expect(try other.run("up").status == 0)
        let refused = try instance.run("up", port: other.port)
        #expect(refused.status != 0)
        #expect(refused.errors.contains("port \(other.port) is in use"))
        #expect(refused.errors.contains("TAPROOM_PORT=\(other.port + 1) make up"))
        let staging = try instance.run("up", "--scope", "staging", port: other.port)
        #expect(
            staging.errors.contains("TAPROOM_PORT=\(other.port + 1) taproom up --scope staging"), "\(staging.errors)")
        #expect(other.gateway.get("/readyz")?.status == 200)
    }
}
