import Foundation
import Glibc
import TestSupport
import Testing

@testable import Instance

/// What `up` mends of an instance that runs: what a start that was cut short left, and what somebody removed.
@Suite struct MendingTests {
    private let project: EventProject
    private let instance: TestInstance

    init() throws {
        project = try EventProject()
        instance = try TestInstance(folder: project.folder, tool: project.tool)
    }

    private func up() throws {
        let up = try instance.run("up")
        try #require(up.status == 0, "\(up.output)\(up.errors)")
    }

    /// As a start leaves it that was cut short before it came to the function, over settings that were taken back since.
    @Test("a function whose socket lost its name is started anew") func lostSocket() throws {
        try up()
        let before = try instance.report().functions
        let placement = try #require(try InstanceRecord.load(state: instance.state)).placement
        #expect(unlink(placement.functionSockets + "/ready.sock") == 0)
        #expect(instance.gateway.get("/readyz")?.status == 503)
        let doctor = try instance.run("doctor").output
        #expect(doctor.contains("WRONG  functions\n       out of the gateway's reach: ready\n"), "\(doctor)")
        try up()
        #expect(instance.gateway.get("/readyz")?.status == 200)
        for (old, new) in zip(before, try instance.report().functions) {
            #expect((old.pids != new.pids) == (old.name == "ready"), "\(old.name)")
        }
    }

    @Test("nginx is told of a configuration that a start wrote and did not tell it of, and of no other")
    func gatewayNotTold() throws {
        try up()
        let file = try #require(try InstanceRecord.load(state: instance.state)).placement.nginxConfiguration
        let old = try String(contentsOfFile: file, encoding: .utf8)
        let more = "  more: {handler: Shop/Livez, events: [{httpApi: GET /more}]}"
        try project.write(queue: "shop.paid", more: more)
        try up()
        let new = try String(contentsOfFile: file, encoding: .utf8)
        #expect(old != new && instance.gateway.get("/more")?.status == 200)
        try project.write(queue: "shop.paid")
        try up()
        #expect(try String(contentsOfFile: file, encoding: .utf8) == old)
        #expect(instance.gateway.get("/more")?.status == 404)
        try project.write(queue: "shop.paid", more: more)
        try writeFile(file, Data(new.utf8), mode: 0o600)
        try up()
        try Eventually.happens("the new route is there") { instance.gateway.get("/more")?.status == 200 }
        let workers = try workersOfNginx()
        try up()
        #expect(try workersOfNginx().allSatisfy(workers.contains), "nginx was told again what it knows")
    }

    private func workersOfNginx() throws -> [pid_t] {
        let placement = try #require(try InstanceRecord.load(state: instance.state)).placement
        let master = try Supervisor(placement: placement).status().first { $0.group == "nginx" }?.pid
        return RunningProcess.all().filter { Int($0.parent) == master }.map(\.pid).sorted()
    }

    @Test("a supervisord whose socket is gone is stopped and started, but for no release that is refused")
    func lostControlSocket() throws {
        try up()
        let placement = try #require(try InstanceRecord.load(state: instance.state)).placement
        let supervisor = try #require(Supervisor(placement: placement).process)
        #expect(unlink(placement.supervisorSocket) == 0)
        let migration = "migrations/shop/123456789abc_wrong.sql"
        try project.folder.write(migration, BrokerCycleTests.wrongMigration)
        let refused = try instance.run("up")
        #expect(refused.status == 1 && refused.errors.contains("syntax error"), "\(refused)")
        #expect(supervisor.isAlive && instance.gateway.get("/readyz")?.status == 200, "a refused release stopped it")
        try project.folder.remove(migration)
        try FileManager.default.removeItem(atPath: placement.run)
        try up()
        #expect(!supervisor.isAlive && instance.gateway.get("/readyz")?.status == 200)
    }
}
