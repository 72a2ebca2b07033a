import Glibc

/// What `main` of an HTTP function does.
enum HTTPProcess {
    static func run<F: HTTPFunction>(_ type: F.Type) -> Never {
        let settings = Settings.fromProcess()
        let process = settings.process()
        let invoker: Invoker<F>
        do {
            let function = try type.init(settings)
            guard settings.faults.isEmpty else { refuseToStart(process, settings.faults.joined(separator: "; ")) }
            invoker = Invoker(function: function, process: process)
        } catch {
            refuseToStart(process, (settings.faults + ["\(error)"]).joined(separator: "; "))
        }
        if CommandLine.arguments.dropFirst().first == "--event" {
            serve(EventTransport(), invoker)
        } else if FastCGIListener.isInherited {
            FastCGIListener.serve(invoker)
        } else if getenv("GATEWAY_INTERFACE") != nil {
            serve(CGITransport(), invoker)
        } else {
            let usage = """
                \(process.function): start me as a FastCGI process with the listening socket as standard input, as a \
                CGI program, or with --event and a JSON event (API Gateway payload 2.0) on standard input.

                """
            _ = write(STDERR_FILENO, usage, usage.utf8.count)
            exit(EX_USAGE)
        }
        exit(0)
    }

    private static func serve(_ transport: consuming some Transport & ~Copyable, _ invoker: Invoker<some HTTPFunction>)
    {
        invoker.serve(&transport)
    }

    private static func refuseToStart(_ process: Settings.Process, _ reason: String) -> Never {
        var line = LogLine(level: "critical")
        line.add("function", process.function)
        line.add("message", "cannot start")
        line.add("error", reason)
        line.write()
        exit(EX_CONFIG)
    }
}
