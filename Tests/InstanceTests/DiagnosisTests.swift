import Foundation
import Testing

import class TestSupport.ChildProcess
import class TestSupport.PostgresServer
import class TestSupport.TemporaryFolder

@testable import Instance

/// `taproom doctor` on what a start in the scope `staging` left.
struct DiagnosisTests {
    private let instance: PrivateInstance

    init() throws {
        instance = try PrivateInstance(folder: TemporaryFolder())
        try record(databases: ["subscriptions", "orders", "customers"].map { ($0, "postgresql://127.0.0.1:1/none") })
    }

    private func record(databases: [(String, String)]) throws {
        let state = instance.state
        let urls = databases.map { "\"\($0)\": \"\($1)\"" }.joined(separator: ", ")
        try instance.folder.write(
            "state/instance.json",
            """
            {"state": "\(state)", "data": "\(state)", "run": "\(state)/run", "scope": "staging", "gatewayPort": 1,
             "configurationFile": "", "databases": {\(urls)}, "rabbitmq": "amqp://me@127.0.0.1:1/", "parameters": {}}
            """)
        try instance.folder.write("state/queues.json", #"{"queues": ["former"], "bindings": []}"#)
    }

    /// A process that passes for the instance's supervisord.
    private func supervisor() throws -> ChildProcess {
        let process = try ChildProcess(
            "/bin/sh", arguments: ["-c", "kill -STOP $$", "supervisord", instance.state + "/supervisord.conf"],
            environment: [:])
        try instance.folder.write("state/run/supervisord.pid", "\(process.pid)\n")
        return process
    }

    /// What each check that failed names to mend it.
    private func remedies(_ arguments: String, variables: [String: String] = [:]) throws -> [String: String] {
        var (remedies, subject): ([String: String], String) = ([:], "")
        for line in try instance.run(arguments, variables: variables).output.split(separator: "\n") {
            if line.hasPrefix("WRONG  ") { subject = String(line.dropFirst(7)) }
            if let mend = line.firstRange(of: "mend: ") { remedies[subject] = String(line[mend.upperBound...]) }
        }
        return remedies
    }

    @Test func `an instance that is down is started in its own scope, whatever else is asked of it`() throws {
        let start = "taproom up --scope staging"
        let found = try remedies("doctor")
        for check in ["gateway", "functions", "RabbitMQ", "queues of former functions", "migrations", "eligibility"] {
            #expect(found[check] == start, "\(check)")
        }
        #expect(try instance.run("status").output.contains("down: \(start) starts it"))
        #expect(try instance.run("restart").errors.contains("is down: run \(start) first"))
        #expect(found["configuration of scope staging"] == "mend the keys named above")
        #expect(try instance.run("doctor", "--scope", "local").output.contains("configuration of scope local"))
        let chosen = try remedies("doctor", variables: ["TAPROOM_SCOPE": "testing"])
        #expect(chosen["configuration of scope testing"] != nil && chosen["gateway"] == start, "\(chosen)")
    }

    @Test func `a record that cannot be read is mended before anything is started`() throws {
        try Data("{".utf8).write(to: URL(filePath: instance.state + "/instance.json"))
        let found = try remedies("doctor")
        for check in ["gateway", "functions", "RabbitMQ", "migrations", "eligibility"] {
            #expect(found[check] == "what stands above", "\(check)")
        }
        #expect(try instance.run("doctor").output.contains("is damaged"))
    }

    @Test func `what cannot be reached is mended before what is in it`() throws {
        let process = try supervisor()
        let away = try remedies("doctor")
        let broker = "taproom up --scope staging; then taproom logs rabbitmq"
        #expect(away["RabbitMQ"] == broker && away["queues of former functions"] == broker, "\(away)")
        let server = "start the server of databases."
        #expect(
            away["migrations"] == server + "customers" && away["eligibility"] == server + "subscriptions", "\(away)")

        let url = try PostgresServer.shared.freshDatabase()
        try record(databases: ["subscriptions", "orders", "customers"].map { ($0, url) })
        let empty = try remedies("doctor")
        #expect(empty["migrations"] == "taproom migrate -x scope=staging upgrade head", "\(empty)")
        #expect(empty["eligibility"] == "taproom rebuild-eligibility --scope staging", "\(empty)")
        withExtendedLifetime(process) {}
    }

    @Test func `Swift must be the one that README names`() throws {
        for (version, isEnough) in [("6.2.4", false), ("6.3", true), ("7.0", true)] {
            try instance.folder.write(
                "swift", "#!/bin/sh\necho 'Swift version \(version) (swift-\(version)-RELEASE)'\n")
            chmod(instance.folder.path + "/swift", 0o755)
            let path = "\(instance.folder.path):\(Subprocess.searchPath)"
            let found = try remedies("doctor", variables: ["PATH": path])["Swift toolchain"]
            #expect((found == nil) == isEnough, "\(version): \(found ?? "")")
            #expect(found?.contains("6.3") ?? true)
        }
        let readme = try String(contentsOfFile: TestProject.root + "/README.md", encoding: .utf8)
        #expect(readme.contains("[Swift 6.3]"))
    }
}
