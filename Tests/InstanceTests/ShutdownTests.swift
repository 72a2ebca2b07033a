import Foundation
import Glibc
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

    @Test("PostgreSQL stays until the last function has finished what it has in hand") func databaseStaysLast() throws {
        let project = try EventProject()
        let instance = try TestInstance(folder: project.folder, tool: project.tool)
        // As long as a run of settle-charges may take, less what it takes to start one.
        try project.write(
            function: "Slow",
            script: """
                trap 'sleep 42; exit 0' TERM
                while :; do sleep 1; done
                """)
        try project.write(
            queue: "shop.paid", more: "  slow: {handler: Shop/Slow, timeout: 55, events: [{schedule: rate(5 minutes)}]}"
        )
        let up = try instance.run("up")
        try #require(up.status == 0, "\(up.output)\(up.errors)")

        let placement = try #require(try InstanceRecord.load(state: instance.state)).placement
        func process(_ group: String) throws -> RunningProcess {
            let entry = try Supervisor(placement: placement).status().first { $0.group == group }
            return try #require(entry?.pid.flatMap { RunningProcess(pid: pid_t($0)) })
        }
        let (slow, database) = (try process("slow"), try process("postgres"))
        let down = try instance.start("down")
        try Eventually.happens("the function's end", within: 120) {
            let hasDatabase = database.isAlive
            guard slow.isAlive else { return true }
            try #require(hasDatabase, "a function is left without its database")
            return false
        }
        #expect(try down.waitForEnd() == .exited(0))
        #expect(!database.isAlive)
    }
}
