import Foundation
import Glibc
import Postgres
import Runtime
import TestSupport
import Testing

@testable import Instance

/// `taproom doctor` on what a start in the scope `staging` left.
@Suite struct DiagnosisTests {
    private let instance: TestInstance
    private let services: [String]

    init() throws {
        instance = try TestInstance(folder: TemporaryFolder())
        services = try Project(root: Repository.root, executables: "", environment: [:]).services
        try record(database: "postgresql://127.0.0.1:1/none")
    }

    /// - Parameter database: of every service.
    private func record(
        database: String, configurationFile: String = "", parameters: [String: String] = [:]
    ) throws {
        try StartedInstance(
            state: instance.state, scope: "staging", configurationFile: configurationFile,
            rabbitmq: "amqp://me@127.0.0.1:1/",
            databases: Dictionary(uniqueKeysWithValues: services.map { ($0, database) }),
            parameters: parameters
        ).write()
        try instance.folder.write(
            "state/queues.json",
            #"{"queues": ["former"], "bindings": [{"exchange": "e", "queue": "former", "routingKey": "k"}]}"#)
    }

    /// A process that passes for the instance's supervisord.
    private func supervisor() throws -> ChildProcess {
        let process = try ChildProcess(
            "/bin/sh", arguments: ["-c", "kill -STOP $$", "supervisord", instance.state + "/supervisord.conf"],
            environment: [:])
        try instance.folder.write("state/run/supervisord.pid", "\(process.pid)\n")
        return process
    }

    /// What each check that failed names to fix it.
    private func remedies(_ arguments: String, variables: [String: String] = [:]) throws -> [String: String] {
        var (remedies, subject): ([String: String], String) = ([:], "")
        for line in try instance.run(arguments, variables: variables).output.split(separator: "\n") {
            if line.hasPrefix("WRONG  ") { subject = String(line.dropFirst(7)) }
            if let fix = line.firstRange(of: "fix: ") { remedies[subject] = String(line[fix.upperBound...]) }
        }
        return remedies
    }

    @Test("an instance that is down is started in its own scope, whatever else is asked of it")
    func instanceDown() throws {
        let start = "taproom up --scope staging"
        let found = try remedies("doctor")
        for check in ["gateway", "functions", "RabbitMQ", "queues of former functions", "migrations", "eligibility"] {
            #expect(found[check] == start, "\(check)")
        }
        #expect(try instance.run("status").output.contains("down: \(start) starts it"))
        #expect(try instance.run("restart").errors.contains("is down: run \(start) first"))
        #expect(found["configuration of scope staging"] == "fix the keys named above")
        #expect(try instance.run("doctor", "--scope", "local").output.contains("configuration of scope local"))
        let chosen = try remedies("doctor", variables: ["TAPROOM_SCOPE": "testing"])
        #expect(chosen["configuration of scope testing"] != nil && chosen["gateway"] == start, "\(chosen)")
    }

    @Test("a port that is taken is freed before the instance is started") func takenPort() throws {
        let listener = try StreamListener()
        let model = Repository.root + "/model_config.json"
        try #require(try ConfigurationFile.writeIfMissing(instance.folder.path + "/config.json", model: model))
        let found = try remedies("doctor", variables: ["TAPROOM_PORT": "\(listener.port)"])
        #expect(found["gateway"] == "what stands above, then taproom up --scope staging")
        withExtendedLifetime(listener) {}
    }

    @Test("a record that cannot be read is fixed before anything is started") func damagedRecord() throws {
        try Data("{".utf8).write(to: URL(filePath: instance.state + "/instance.json"))
        let found = try remedies("doctor")
        for check in ["gateway", "functions", "RabbitMQ", "migrations", "eligibility"] {
            #expect(found[check] == "what stands above", "\(check)")
        }
        #expect(try instance.run("doctor").output.contains("is damaged"))
    }

    @Test("what cannot be reached is fixed before what is in it") func reachedFirst() throws {
        let process = try supervisor()
        let away = try remedies("doctor")
        let broker = "taproom up --scope staging; then taproom logs rabbitmq"
        #expect(away["RabbitMQ"] == broker && away["queues of former functions"] == broker, "\(away)")
        let server = "start the server of databases."
        #expect(
            away["migrations"] == server + services[0] && away["eligibility"] == server + "subscriptions", "\(away)")
        #expect(away["outboxes"] == server + "subscriptions", "\(away)")

        let url = try PostgresServer.shared.freshDatabase()
        try record(database: url)
        let empty = try remedies("doctor")
        #expect(empty["migrations"] == "taproom migrate -x scope=staging upgrade head", "\(empty)")
        #expect(empty["eligibility"] == "taproom rebuild-eligibility --scope staging", "\(empty)")
        withExtendedLifetime(process) {}
    }

    @Test("a billing time zone that the database does not know is named") func unknownTimeZone() throws {
        let (process, url) = (try supervisor(), try PostgresServer.shared.freshDatabase())
        // The machine's own time zones have it still.
        let zone = "US/Pacific-New"
        try record(database: url, parameters: ["billing.time_zone": zone])
        let fix = "fix billing.time_zone, then taproom up --scope staging"
        #expect(try remedies("doctor")["billing time zone"] == fix)
        withExtendedLifetime(process) {}

        let other = try TestInstance(folder: TemporaryFolder())
        let databases = services.map { ("TAPROOM_DATABASES_\($0.uppercased())", url) }
        let up = try other.run(
            "up", variables: Dictionary(uniqueKeysWithValues: databases + [("TAPROOM_BILLING_TIME_ZONE", zone)]))
        #expect(up.status == 1 && up.errors.contains("PostgreSQL does not know \(zone)"), "\(up)")
    }

    @Test("eligibility is compared under a time limit of its own, and only UTF-8 holds every text")
    func comparisonLimitAndEncoding() throws {
        let (process, name) = (try supervisor(), "latin_\(UInt32.random(in: 0...(.max)))")
        let server = PostgresServer.shared
        try server.connect(to: server.url("postgres")).run(
            script: "CREATE DATABASE \(name) ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0", deadline: .never)
        try server.connect(to: server.url(name)).run(
            script: """
                CREATE TABLE subscription ();
                CREATE TABLE unsettled_subscription (subscription_id varchar);
                CREATE FUNCTION wrong_active_intervals() RETURNS SETOF varchar LANGUAGE sql
                AS $$ SELECT 'id' WHERE current_setting('statement_timeout') <> '5min' $$
                """, deadline: .never)
        try record(database: server.url(name))
        let found = try remedies("doctor")
        #expect(found["eligibility"] == nil, "\(found)")
        #expect(found["migrations"] == "move it into a database in UTF8", "\(found)")
        let output = try instance.run("doctor").output
        #expect(output.contains("CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"), "\(output)")
        withExtendedLifetime(process) {}
    }

    @Test("functions that do not run and intervals that are wrong are named") func functionsAndIntervals() throws {
        let url = try PostgresServer.shared.freshDatabase()
        try PostgresServer.shared.connect(to: url).run(
            script: """
                CREATE TABLE subscription ();
                CREATE TABLE unsettled_subscription (subscription_id varchar);
                CREATE FUNCTION wrong_active_intervals() RETURNS SETOF varchar LANGUAGE sql
                AS $$ SELECT E'sub-7\\u001b' $$
                """, deadline: .never)
        try record(database: url)
        try instance.supervise(["nginx": "/bin/sleep 600"])
        let found = try remedies("doctor")
        #expect(found["functions"] == "taproom up --scope staging; then taproom logs", "\(found)")
        #expect(found["eligibility"] == "taproom rebuild-eligibility --scope staging", "\(found)")
        let output = try instance.run("doctor").output
        #expect(output.contains("not running: ") && output.contains("1 subscriptions are not those"), "\(output)")
        #expect(output.contains("such as sub-7\u{FFFD}\n"), "\(output)")
        _ = try instance.run("down")
    }

    @Test("intervals that cannot be compared in time are not called wrong, many unsettled ones are named")
    func intervalsNotCompared() throws {
        let (process, url) = (try supervisor(), try PostgresServer.shared.freshDatabase())
        let database = try PostgresServer.shared.connect(to: url)
        try record(database: url)
        try database.run(
            script: """
                CREATE TABLE subscription ();
                CREATE TABLE unsettled_subscription (subscription_id varchar);
                CREATE FUNCTION wrong_active_intervals() RETURNS SETOF varchar LANGUAGE plpgsql AS
                    $$ BEGIN RAISE query_canceled; END $$;
                """, deadline: .never)
        let slow = "taproom doctor again when the database has less to do"
        #expect(try remedies("doctor")["eligibility"] == slow)
        try database.run(
            script: "INSERT INTO unsettled_subscription SELECT n FROM generate_series(1, 10000) n", deadline: .never)
        #expect(try remedies("doctor")["eligibility"] == slow)
        try database.run(script: "INSERT INTO unsettled_subscription VALUES ('last')", deadline: .never)
        #expect(try remedies("doctor")["eligibility"] == "taproom rebuild-eligibility --scope staging")
        #expect(try instance.run("doctor").output.contains("10001 subscriptions are unsettled"))
        withExtendedLifetime(process) {}
    }

    @Test("files of migrations that no command can work with are fixed first") func unusableMigrations() throws {
        let project = try EventProject()
        let other = try TestInstance(folder: project.folder, tool: project.tool)
        let first = try project.folder.read("migrations/shop/0123456789ab_outbox.sql")
        try project.folder.write(
            "migrations/shop/ffffffffffff_head.sql",
            first.replacing("revision: 0123456789ab", with: "revision: ffffffffffff"))
        let output = try other.run("doctor").output
        #expect(output.contains(/WRONG  migrations\n(.*\n)*? +fix: fix the files named above\n/), "\(output)")
        #expect(output.contains("ffffffffffff_head.sql"), "\(output)")
    }

    @Test("supervisord that does not answer is said to") func supervisordSilent() throws {
        let (process, silent) = (try supervisor(), try SilentServer())
        try instance.folder.write(
            "state/supervisord.conf", "[supervisorctl]\nserverurl = http://127.0.0.1:\(silent.port)\n")
        let child = try instance.start("status")
        #expect(try child.waitForEnd() == .exited(1))
        #expect(child.lines.contains { $0.contains("has not answered") && $0.contains("\(process.pid)") })
    }

    @Test("what is left when supervisord was killed is no other program") func supervisordKilled() throws {
        try instance.folder.write("config.json", configuration)
        mkdir(instance.state + "/bin", 0o755)
        try instance.folder.copy(executable: "/bin/sleep", to: "state/bin/Left")
        let left = try ChildProcess(instance.state + "/bin/Left", arguments: ["600"], environment: [:])
        let output = try instance.run("doctor").output
        #expect(output.contains("what it ran still runs"), "\(output)")
        #expect(try remedies("doctor")["gateway"] == "taproom up --scope staging")
        withExtendedLifetime(left) {}
    }

    @Test("a file that others may read is given the mode that keeps them out") func fileModes() throws {
        try instance.folder.write("config.json", configuration)
        let file = instance.folder.path + "/config.json"
        for mode in [0o644, 0o640, 0o604] as [mode_t] {
            chmod(file, mode)
            #expect(try remedies("doctor")["configuration of scope staging"] == "chmod 600 \(file)")
        }
    }

    @Test("the configuration is the file that the instance was started with, unless another is named")
    func configurationOfTheInstance() throws {
        try instance.folder.write("started.json", configuration)
        let file = instance.folder.path + "/started.json"
        chmod(file, 0o644)
        try record(database: "postgresql://127.0.0.1:1/none", configurationFile: file)
        let subject = "configuration of scope staging"
        #expect(try remedies("doctor", variables: ["TAPROOM_CONFIG": ""])[subject] == "chmod 600 \(file)")
        #expect(try remedies("doctor")[subject] == "fix the keys named above")
        let other = try remedies("doctor", variables: ["TAPROOM_CONFIG": "", "TAPROOM_SCOPE": "testing"])
        #expect(other["configuration of scope testing"] == "fix the keys named above")
    }

    @Test("a folder for temporary files that is not there is named") func missingTemporaryFolder() throws {
        #expect(try instance.run("doctor", variables: ["TMPDIR": "/nowhere"]).output.contains("/nowhere"))
    }

    private var configuration: String {
        func each(_ value: String) -> String { services.map { "\"\($0)\": \"\(value)\"" }.joined(separator: ", ") }
        return """
            {"databases": {\(each(""))}, "rabbitmq": {"url": ""},
             "embedded_passwords": {\(each("p")), "rabbitmq": "r"},
             "ecommerce": {"url": "", "api_key": "k", "api_secret": "s"}}
            """
    }

    @Test("Swift must be the one that README names") func swiftVersion() throws {
        for (version, isEnough) in [("6.2.4", false), ("6.3", true), ("7.0", true)] {
            try instance.folder.write(
                "swift", "#!/bin/sh\necho 'Swift version \(version) (swift-\(version)-RELEASE)'\n")
            chmod(instance.folder.path + "/swift", 0o755)
            let path = "\(instance.folder.path):\(Subprocess.searchPath)"
            let found = try remedies("doctor", variables: ["PATH": path])["Swift toolchain"]
            #expect((found == nil) == isEnough, "\(version): \(found ?? "")")
            #expect(found?.contains("6.3") ?? true)
        }
        let readme = try String(contentsOfFile: Repository.root + "/README.md", encoding: .utf8)
        #expect(readme.contains("[Swift 6.3]"))
    }
}

/// Takes connections and says nothing.
private final class SilentServer {
    let port: Int
    private let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)

    init() throws {
        port = try Loopback.freePort()
        let listener = self.listener
        var address = Ports.loopback(port)
        let isBound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 && listen(listener, 8) == 0
            }
        }
        try #require(isBound)
    }

    deinit { close(listener) }
}
