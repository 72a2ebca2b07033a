import Foundation
import Manifest
import TestSupport
import Testing

@testable import Instance

@Suite struct ReadingTests {
    @Test("supervisord's lines tell workers from holders") func supervisordLines() throws {
        let worker = try #require(SupervisedProcess(line: "charge:charge_1   RUNNING   pid 4711, uptime 0:00:12"))
        #expect(worker.pid == 4711)
        #expect(worker.address == "charge:charge_1")
        #expect(!worker.isHolder)
        let holder = try #require(
            SupervisedProcess(line: "charge:charge_0   RUNNING   pid 4710, uptime 1 day, 0:00:12"))
        #expect(holder.isHolder)
        let stopped = try #require(SupervisedProcess(line: "nginx   FATAL     Exited too quickly (process log may …)"))
        #expect(stopped.pid == nil)
        #expect(stopped.state == "FATAL")
        #expect(stopped.address == "nginx")
        #expect(SupervisedProcess(line: "unix:///run/x.sock refused connection") == nil)
    }

    @Test("a followed log survives being cut and replaced, and shows whole lines only") func followedLog() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/x.log"
        func write(_ text: String) throws { try Data(text.utf8).write(to: URL(fileURLWithPath: path)) }
        try write("one\ntwo\nthree\n")
        let log = LogFile(path: path)
        #expect(log.lastLines(2) == ["two", "three"])
        #expect(log.newLines().isEmpty)
        let handle = try #require(FileHandle(forWritingAtPath: path))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data("four\nfi".utf8))
        #expect(log.newLines() == ["four"])
        try handle.write(contentsOf: Data("ve\n".utf8))
        #expect(log.newLines() == ["five"])
        try handle.truncate(atOffset: 0)
        try handle.write(contentsOf: Data("six\n".utf8))
        #expect(log.newLines() == ["six"])
        try FileManager.default.removeItem(atPath: path)
        #expect(log.newLines().isEmpty)
        try write("seven\n")
        #expect(log.newLines() == ["seven"])
    }

    @Test("as many lines of a log are shown as were asked for") func lastLines() throws {
        let folder = try TemporaryFolder()
        try folder.write("x.log", (1...100_000).map { "line \($0)\n" }.joined())
        let lines = LogFile(path: folder.path + "/x.log").lastLines(99_999)
        #expect(lines.count == 99_999 && lines.first == "line 2" && lines.last == "line 100000")
    }

    @Test("render says which file it cannot write, and why") func renderUnwritable() throws {
        let folder = try TemporaryFolder()
        try folder.write("functions.yml", "functions: {f: {handler: Shop/F, events: [{httpApi: GET /x}]}}\n")
        try folder.write("nginx.conf/x", "")
        let run = try Subprocess.run(["/usr/bin/env", "--chdir=\(folder.path)", TestProject.tool, "render"])
        #expect(run.status == 1 && run.errors.contains("\(folder.path)/nginx.conf cannot be written: "), "\(run)")
        #expect(!run.errors.contains("Domain"), "\(run)")
    }

    @Test("what functions.yml names and the checkout does not have is refused before anything is written")
    func missingInCheckout() throws {
        let folder = try TemporaryFolder()
        try folder.write("migrations/orders/README", "")
        try folder.write("Sources/Functions/Shop/Club/Club.swift", "")
        try folder.write(
            "functions.yml",
            """
            functions:
              sound:
                handler: Shop/Club
                environment: {A: "${param:databases.orders}", B: "${param:rabbitmq.url}"}
                events: [{httpApi: GET /x}]
              wrong:
                handler: Nowhere/Clubs
                environment: {URL: "${param:databases.order}"}
                events: [{outbox: {service: order}}]

            """)
        func run(_ arguments: String...) throws -> Subprocess {
            try Subprocess.run(
                ["/usr/bin/env", "--chdir=\(folder.path)", TestProject.tool] + arguments,
                environment: ["PATH": Subprocess.searchPath, "TAPROOM_STATE": folder.path + "/state"])
        }
        for (said, name) in [
            (try run("render").errors, "render"), (try run("render", "--check").errors, "check"),
            (try run("doctor").output, "doctor"), (try run("up").errors, "up"),
        ] {
            for problem in [
                "handler: there is no folder Sources/Functions/Nowhere/Clubs; the nearest is \"Shop/Club\"",
                "events: there is no service order, no folder migrations/order; the nearest is \"orders\"",
                "environment.URL: unknown parameter \"databases.order\"; the nearest is \"databases.orders\"",
            ] {
                #expect(said.contains("functions.yml:6: functions.wrong.\(problem)\n"), "\(name): \(said)")
            }
            #expect(!said.contains("functions.sound"), "\(name): \(said)")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).count == 3)

        let migrate = try run("migrate", "--service", "shop", "revision", "-m", "x")
        #expect(
            migrate.errors.contains("no such folder; there are orders")
                && migrate.errors.contains("mkdir migrations/shop"))
    }

    @Test("every command that looks at functions.yml says what it ignores there") func ignoredKeys() throws {
        let folder = try TemporaryFolder()
        try folder.write(
            "functions.yml", "functions: {f: {handler: Shop/F, timeuot: 20, events: [{httpApi: GET /x}]}}\n")
        func run(_ arguments: String...) throws -> Subprocess {
            try Subprocess.run(["/usr/bin/env", "--chdir=\(folder.path)", TestProject.tool] + arguments)
        }
        let warning = "functions.f.timeuot: unknown key, ignored; the nearest known one is \"timeout\""
        #expect(try run("render", "--check").errors.contains(warning))
        let doctor = try run("doctor").output
        #expect(doctor.contains(/WRONG  functions.yml\n(.*)\n/) && doctor.contains(warning), "\(doctor)")
    }

    @Test("every parameter that an instance has is known before it is started") func parameters() throws {
        let folder = try TemporaryFolder()
        try folder.write(
            "config.json",
            """
            {"databases": {"orders": "", "other": "postgresql://db.example.com/x"}, "embedded_passwords": {"orders": "p"},
             "ecommerce": {"url": "", "api_key": "k", "api_secret": "s"},
             "rabbitmq": {"url": "amqp://me:p@broker.example.com:5672/%2F"}}
            """)
        let services = ["orders", "other"]
        let record = InstanceRecord(
            placement: Placement(state: "/s", data: "/s", run: "/s"), scope: "local",
            configuration: try Configuration(file: folder.path + "/config.json", services: services, environment: [:]),
            databasePort: 1, brokerPort: nil, migrationHeads: ["orders": "a", "other": "b"])
        #expect(record.parameters.count > services.count)
        let variables = record.parameters.keys.sorted().enumerated().map { "V\($0): '${param:\($1)}'" }
        let relays = try services.map { service in
            try folder.write("migrations/\(service)/README", "")
            return "  relay-\(service): {handler: Shop/Relay, events: [{outbox: {service: \(service)}}]}"
        }
        try folder.write(
            "functions.yml",
            """
            functions:
              f: {handler: Shop/F, environment: {\(variables.joined(separator: ", "))}, events: [{httpApi: GET /x}]}
            \(relays.joined(separator: "\n"))
            """)
        let run = try Subprocess.run(["/usr/bin/env", "--chdir=\(folder.path)", TestProject.tool, "render"])
        #expect(run.status == 0, "\(run)")
    }

    @Test("only the end of a long log is looked through for circuits") func circuitsInLongLog() throws {
        let folder = try TemporaryFolder()
        let placement = Placement(state: folder.path, data: folder.path, run: folder.path)
        func line(_ host: String) -> String {
            #"{"time": "2026-05-01T00:00:00Z", "circuit": "open", "host": "\#(host)", "pid": "7"}"# + "\n"
        }
        try folder.write("log/charge.log", line("early") + String(repeating: "{}\n", count: 3 << 20) + line("late"))
        let record = InstanceRecord(
            state: folder.path, data: folder.path, run: placement.run, scope: "local", configurationFile: "",
            gatewayPort: 1, databasePort: nil, brokerPort: nil, rabbitmq: nil, databases: [:], parameters: [:])
        let function = Instance.FunctionStatus(
            name: "charge", kind: "http", state: .running, schedule: nil, queue: nil, outbox: nil, pids: [7])
        let instance = Instance(
            record: record, manifest: try Manifest.load(from: Repository.root + "/functions.yml"))
        #expect(instance.circuits([function]).map(\.host) == ["late"])
    }

    @Test("scripts/install-packages disables what came with the packages, and nothing else")
    func packagesDisabled() throws {
        let folder = try TemporaryFolder()
        for (name, text) in [
            ("id", "echo 0"), ("apt-get", "touch \(folder.path)/installed"),
            (
                "systemctl",
                """
                [ $1 = disable ] && echo "$@" >>\(folder.path)/done
                case $2 in
                    postgresql.service) echo enabled ;;
                    nginx.service) [ -e \(folder.path)/installed ] && echo enabled || echo not-found ;;
                esac
                """
            ),
        ] {
            try folder.write(name, "#!/bin/sh\n\(text)\n")
            chmod("\(folder.path)/\(name)", 0o755)
        }
        let policy = FileManager.default.contents(atPath: "/usr/sbin/policy-rc.d")
        let run = try Subprocess.run(
            [Repository.root + "/scripts/install-packages", "no-such-package"],
            environment: ["PATH": "\(folder.path):\(Subprocess.searchPath)"])
        #expect(run.output == "installing no-such-package\n", "\(run.errors)")
        #expect(try folder.read("done") == "disable --quiet nginx.service\n")
        #expect(FileManager.default.contents(atPath: "/usr/sbin/policy-rc.d") == policy)
    }

    @Test("scripts/install-packages takes no option for a package") func noOptionAsPackage() throws {
        let folder = try TemporaryFolder()
        // Whatever it thinks of its arguments, it must install nothing here.
        for (name, text) in [("id", "echo 1000"), ("sudo", "exit 1"), ("apt-get", "exit 1")] {
            try folder.write(name, "#!/bin/sh\n\(text)\n")
            chmod("\(folder.path)/\(name)", 0o755)
        }
        func install(_ arguments: String...) throws -> Subprocess {
            try Subprocess.run(
                [Repository.root + "/scripts/install-packages"] + arguments,
                environment: ["PATH": "\(folder.path):\(Subprocess.searchPath)"])
        }
        let help = try install("--help")
        #expect(help.status == 0 && help.output.hasPrefix("usage: scripts/install-packages"), "\(help.errors)")
        let wrong = try install("--check", "--purge")
        #expect(wrong.status == 2 && wrong.errors.contains("--purge: no such option"), "\(wrong.errors)")
        let check = try install("no-such-package", "--check")
        #expect(check.status == 1 && check.errors.contains("missing or too old: "), "\(check.errors)")
        #expect(check.errors.contains("no-such-package") && !check.errors.contains("--check"))
    }

    @Test("a program's output, status and signal come back") func programResult() throws {
        let said = try Subprocess.run(["/bin/sh", "-c", "read x || echo nothing; echo no >&2; exit 3"])
        #expect(said.status == 3)
        #expect(said.output == "nothing\n")
        #expect(said.errors == "no\n")
        #expect(try Subprocess.run(["/bin/sh", "-c", "kill -9 $$"]).status == 137)
    }

    @Test("signals that this thread blocks reach a program all the same") func signalsUnblocked() throws {
        var (signals, before) = (sigset_t(), sigset_t())
        sigemptyset(&signals)
        sigaddset(&signals, SIGTERM)
        pthread_sigmask(SIG_BLOCK, &signals, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        #expect(try Subprocess.run(["/bin/sh", "-c", "kill -TERM $$; echo lives"]).status == 128 + SIGTERM)
    }

    @Test("a program that leaves a daemon behind is not waited for") func daemonLeftBehind() throws {
        let begin = Date()
        let daemon = try Subprocess.run(["/bin/sh", "-c", "sleep 60 & echo $!"])
        let pid = try #require(pid_t(daemon.output.trimmingCharacters(in: .whitespacesAndNewlines)))
        #expect(RunningProcess(pid: pid)?.isAlive == true, "after \(Date().timeIntervalSince(begin)) s")
        kill(pid, SIGKILL)
    }
}
