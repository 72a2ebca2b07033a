import Foundation
import Glibc
import Postgres
import TestSupport
import Testing

@testable import Instance
@testable import Manifest

/// What `down` leaves to functions that are at work.
@Suite struct ShutdownTests {
    @Test("supervisord leaves PostgreSQL the time to write all of its buffers") func lastCheckpoint() throws {
        let folder = try TemporaryFolder()
        let placement = Placement(state: folder.path, data: folder.path, run: folder.path)
        let program = try Cluster(placement: placement, accounts: .current(), port: 1).program()
        // 8 GB at 30 MB a second.
        #expect(program.stopTimeout >= 8192 / 30)
    }

    @Test("a function is given its time limit, and as much more as supervisord gives at most")
    func timeToFinish() throws {
        let project = try EventProject()
        let root = project.folder.path
        func seconds() throws -> Double {
            try Project(root: root, executables: root + "/bin", environment: [:]).secondsToFinish
        }
        try project.write(
            queue: "shop.paid", more: "  slow: {handler: Shop/Slow, timeout: 55, events: [{schedule: rate(5 minutes)}]}"
        )
        #expect(try seconds() == 70)
        // What cannot be read may have said anything.
        try project.folder.write("functions.yml", "functions: [")
        #expect(try seconds() == 915)
    }

    @Test("PostgreSQL stays until the last function has finished what it has in hand") func databaseStaysLast() throws {
        let project = try EventProject()
        let instance = try TestInstance(folder: project.folder, tool: project.tool)
        let finished = project.folder.path + "/probes/finished"
        try project.write(
            function: "Slow",
            script: """
                trap 'until [ -e "$FINISHED" ]; do sleep 0.1; done; exit 0' TERM
                while :; do sleep 1; done
                """)
        try project.write(
            queue: "shop.paid",
            more: "  slow: {handler: Shop/Slow, timeout: 55, environment: {FINISHED: \(finished)}, "
                + "events: [{schedule: rate(5 minutes)}]}")
        let up = try instance.run("up")
        try #require(up.status == 0, "\(up.output)\(up.errors)")

        let record = try #require(try InstanceRecord.load(state: instance.state))
        let url = try #require(record.databases["shop"])
        let processes = try Supervisor(placement: record.placement).status().compactMap { entry in
            entry.pid.flatMap { RunningProcess(pid: pid_t($0)) }.map { (group: entry.group, process: $0) }
        }
        let slow = try #require(processes.first { $0.group == "slow" }).process
        let database = try #require(processes.first { $0.group == "postgres" }).process
        let others = processes.filter { !["slow", "postgres", "rabbitmq"].contains($0.group) }.map(\.process)
        try #require(!others.isEmpty)

        let down = try instance.start("down")
        try Eventually.happens("the end of all others") { !others.contains(where: \.isAlive) }
        // It takes no session from the moment it is told to stop.
        for _ in 1...50 { _ = try Connection(url: url, application: "test", deadline: .soon) }
        #expect(slow.isAlive && database.isAlive)
        try project.folder.write("probes/finished", "")
        #expect(try down.waitForEnd() == .exited(0))
        #expect(!database.isAlive)
    }
}
