import Foundation
import TestSupport
import Testing

@testable import Manifest

/// What the rendered configuration makes a real supervisord do.
@Suite struct SupervisionTests {
    /// Writes its arguments, environment and process id down, says something, and stays.
    private static let probe = """
        #!/bin/sh
        echo "to stdout"; echo "to stderr" >&2
        printf '[%s]' "$@" >"$PROBE_OUTPUT.words"
        cat /proc/$$/environ >"$PROBE_OUTPUT.new"
        mv "$PROBE_OUTPUT.new" "$PROBE_OUTPUT"
        echo $$ >"$PROBE_OUTPUT.pid.new"
        mv "$PROBE_OUTPUT.pid.new" "$PROBE_OUTPUT.pid"
        exec sleep 600

        """

    private static let nasty = [
        "PLAIN": "postgresql://user:p%40ss@/db?host=/run,/tmp&x=1", "EMPTY": "", "SPACES": "  a  b  ",
        "QUOTES": #""double" and 'single'"#, "ENDS": "'", "COMMAS": "a,B=b,", "PERCENT": "%s %(here)s %% 100%",
        "BACKSLASH": #"a\nb\\c\"#, "NEWLINES": "\na\n\n  b\n", "COMMENTS": "a ;b #c", "TAB": "\ta", "UNICODE": "café ☕",
        "SHELL": "$HOME `id` $(id) ${X} ! *", "EQUALS": "a=b=c",
    ]

    #if arch(x86_64)
        private static let loader = "/lib64/ld-linux-x86-64.so.2"
    #else
        private static let loader = "/lib/ld-linux-aarch64.so.1"
    #endif

    private func deployment(_ folder: TemporaryFolder) -> Deployment {
        var parameters = Self.nasty
        parameters["output"] = folder.path + "/probe"
        return Deployment(
            gatewayPort: 1, socketFolder: folder.path, executableFolder: folder.path,
            libraryFolder: folder.path + "/libraries", logFolder: folder.path, temporaryFolder: folder.path,
            pidFolder: folder.path, parameters: parameters)
    }

    @Test func functionAndProgram() throws {
        let folder = try TemporaryFolder.odd()
        _ = try folder.script("FFunction", Self.probe)
        let program = try folder.script("a #strange; 'program'", Self.probe)
        let entries = Self.nasty.keys.sorted().map { "      \($0): ${param:\($0)}" }.joined(separator: "\n")
        let manifest = try manifest(
            "timeout: 9\n    reservedConcurrency: 3\n    environment:\n      PROBE_OUTPUT: ${param:output}\n\(entries)",
            events: "- httpApi: POST /x/{id}/", "- httpApi: GET /y")
        let deployment = deployment(folder)
        let configuration = try manifest.supervisordConfiguration(
            deployment,
            extraPrograms: [
                Program(
                    name: "extra", command: [program, "a b", "%(here)s", ""], priority: 1,
                    environment: [("PROBE_OUTPUT", folder.path + "/extra")] + Self.nasty.sorted { $0 < $1 })
            ])
        let supervisor = try Supervisor(configuration, in: folder)

        var expected = Self.nasty
        expected["TAPROOM_FUNCTION"] = "f"
        expected["TAPROOM_ROUTES"] = "POST /x/{id}/\nGET /y"
        expected["TAPROOM_TIMEOUT"] = "9"
        expected["TAPROOM_CONCURRENCY"] = "3"
        expected["LD_LIBRARY_PATH"] = folder.path + "/libraries"
        expected["GLIBC_TUNABLES"] = "glibc.malloc.tcache_max=128"
        expected["RES_OPTIONS"] = "timeout:1 attempts:2"
        let environment = try Eventually.gives("the function's environment") { try? variables(folder.read("probe")) }
        for (name, value) in expected { #expect(environment[name] == value, "\(name)") }
        let extra = try Eventually.gives("the program's environment") { try? variables(folder.read("extra")) }
        for (name, value) in Self.nasty { #expect(extra[name] == value, "\(name)") }

        #expect(try folder.read("extra.words") == "[a b][%(here)s][]")

        // Output of both kinds is in the file, which supervisord writes, and the process is the function itself.
        for name in ["f.log", "extra.log"] {
            try Eventually.happens("what it said in \(name)") {
                (try? folder.read(name)) == "to stdout\nto stderr\n"
            }
        }
        let process = try Eventually.gives("its process id") { try? folder.read("probe.pid") }
        #expect(try supervisor.control("pid", "f:f_1") == process)

        let mode = try FileManager.default.attributesOfItem(atPath: folder.path + "/f.sock")[.posixPermissions]
        #expect(mode as? Int == 0o660)
    }

    @Test(arguments: ["LD_LIBRARY_PATH", "GLIBC_TUNABLES", "RES_OPTIONS"])
    func anEntryOfTheManifestCountsMoreThanADefault(_ name: String) throws {
        let manifest = try manifest("environment: {\(name): own}", events: "- httpApi: GET /y")
        let variables = try manifest.environment(of: manifest.functions[0], in: deployment(try TemporaryFolder.odd()))
        #expect(variables.filter { $0.0 == name }.map(\.1) == ["own"])
    }

    /// It ignores what it does not know without a word.
    @Test func theLoaderTakesWhatItIsToldOfTheHeap() throws {
        let manifest = try manifest("timeout: 6", events: "- httpApi: GET /y")
        let variables = try manifest.environment(of: manifest.functions[0], in: deployment(try TemporaryFolder.odd()))
        let run = try TestProcess.run(
            Self.loader, ["--list-tunables"], environment: Dictionary(uniqueKeysWithValues: variables))
        #expect(run.output.contains("glibc.malloc.tcache_max: 0x80 "), "\(run.output)\(run.errors)")
    }

    @Test func theHolderKeepsTheSocketWhileTheWorkerIsReplaced() throws {
        let folder = try TemporaryFolder.odd()
        _ = try folder.script("FFunction", Self.probe)
        let manifest = try manifest("environment: {PROBE_OUTPUT: '${param:output}'}", events: "- httpApi: GET /y")
        let supervisor = try Supervisor(manifest.supervisordConfiguration(deployment(folder)), in: folder)
        let first = try Eventually.gives("the worker's process id") { try? folder.read("probe.pid") }
        let waiting = try StreamSocket.connect(path: folder.path + "/f.sock")

        let pid = try #require(pid_t(first.trimmingCharacters(in: .whitespacesAndNewlines)))
        kill(pid, SIGKILL)
        try Eventually.happens("another worker to run") { try folder.read("probe.pid") != first }
        // A connection made before is still in the queue, and new ones are taken.
        #expect(!waiting.waitForInput(milliseconds: 0))
        try StreamSocket.connect(path: folder.path + "/f.sock").close()
        _ = try supervisor.control("restart", "f:f_1")
        #expect(!waiting.waitForInput(milliseconds: 0))
    }

    @Test func whatCannotBeRenderedIsListedAtOnce() throws {
        let manifest = try manifest(
            "environment: {A: 'x${param:databases.subscription}', B: '${param:nul}', C: '${param:fine}'}",
            events: "- httpApi: GET /x")
        let long = "/" + String(repeating: "x", count: 110)
        let deployment = Deployment(
            gatewayPort: 1, socketFolder: long, executableFolder: "relative", logFolder: "/a ;b",
            temporaryFolder: "/t$host", pidFolder: "/p",
            parameters: ["databases.subscriptions": "", "nul": "a\0b", "fine": "x"])
        let error = #expect(throws: ManifestError.self) {
            try manifest.supervisordConfiguration(
                deployment,
                extraPrograms: [
                    Program(name: "f", command: ["/a\nb"], priority: 1),
                    Program(name: "f", command: ["a\0"], priority: 1),
                ])
        }
        #expect(
            error?.problems.map(\.description) == [
                "functions.yml: executableFolder \"relative\" is not an absolute path",
                "functions.yml: logFolder \"/a ;b\" cannot be written into supervisord's configuration: "
                    + "no control characters, no ; or # after a space",
                "functions.yml: temporaryFolder \"/t$host\" cannot be written into nginx's configuration: no $",
                "functions.yml:2: functions.f: socket path \(long)/f.sock is over 107 bytes; use a shorter folder",
                "functions.yml: program \"f\" has a line end in its command",
                "functions.yml: two programs are called \"f\"",
                "functions.yml: program \"f\" has a NUL in its command or environment",
                "functions.yml:2: functions.f: the name is taken by a supervised program; use another",
                "functions.yml:2: functions.f.environment.A: unknown parameter \"databases.subscription\"; "
                    + "the nearest is \"databases.subscriptions\"",
                "functions.yml:2: functions.f.environment.B: parameter \"nul\" contains a NUL, "
                    + "which no environment can hold",
            ])
    }

    @Test func settings() throws {
        let manifest = try manifest(
            "timeout: 30", "reservedConcurrency: 64", "environment: {A: '${param:a}-${param:a}'}",
            events: "- httpApi: GET /x")
        var deployment = Deployment.host
        deployment.parameters = ["a": "1"]
        let lines = try manifest.supervisordConfiguration(deployment).split(separator: "\n").map(String.init)
        for line in [
            "[fcgi-program:f]", "socket=unix:///run/taproom/f.sock", "socket_owner=www-data:www-data",
            "socket_mode=0660", "socket_backlog=512", "user=www-data", "stopwaitsecs=35", "autorestart=true",
            "    A=\"1-1\"",
        ] {
            #expect(lines.contains(line), "\(line)")
        }
    }

    private func variables(_ environ: String) -> [String: String] {
        let pairs = environ.split(separator: "\0").map { $0.split(separator: "=", maxSplits: 1) }
        return Dictionary(uniqueKeysWithValues: pairs.map { (String($0[0]), $0.count > 1 ? String($0[1]) : "") })
    }
}
