import Glibc

/// What `main` of an HTTP function does.
enum HTTPProcess {
    static func run<F: HTTPFunction>(_ type: F.Type) -> Never {
        let (function, process) = ProcessStart.make(type)
        let invoker = Invoker(function: function, process: process)
        if ProcessStart.isForOneEvent {
            var transport = EventTransport()
            invoker.serve(&transport)
            exit(transport.isResponseLost ? 1 : 0)
        } else if FastCGIListener.isInherited {
            FastCGIListener.serve(invoker)
        } else if getenv("GATEWAY_INTERFACE") != nil {
            var transport = CGITransport()
            invoker.serve(&transport)
        } else {
            ProcessStart.refuse(
                usage: """
                    \(process.function): start me as a FastCGI process with the listening socket as standard input, as \
                    a CGI program, or with --event and a JSON event (API Gateway payload 2.0) on standard input.

                    """)
        }
        exit(0)
    }
}
