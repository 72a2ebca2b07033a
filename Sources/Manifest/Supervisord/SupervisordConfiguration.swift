extension Manifest {
    /// The whole configuration of supervisord. Whoever starts it chooses `--nodaemon` or not; the folders of
    /// `deployment` must exist.
    ///
    /// Each function is a group of two processes that share its listening socket. Process `NAME:NAME_0` only holds
    /// the socket open; `NAME:NAME_1` serves. So a function restarts by restarting `NAME:NAME_1` (never the whole
    /// group), and what arrives meanwhile waits in the socket. A function with a schedule, a queue or an outbox is one
    /// program of its name, without a socket.
    ///
    /// - Parameter withoutBroker: leaves out the functions that work with the broker, which may have to wait for it.
    ///
    /// Throws a ``ManifestError`` that lists every parameter that `deployment` lacks, every name used twice, and every
    /// path that supervisord or a socket cannot take.
    public func supervisordConfiguration(
        _ deployment: Deployment, extraPrograms: [Program] = [], withoutBroker: Bool = false
    ) throws -> String {
        var problems = self.problems(of: deployment) + self.problems(of: extraPrograms)
        var sections = [daemon(deployment)]
        for program in extraPrograms {
            sections.append(section(program, deployment))
        }
        for function in functions where !(withoutBroker && function.usesBroker) {
            do {
                if function.source == nil {
                    sections.append(try section(function, deployment))
                } else if function.schedule?.isEnabled != false {
                    sections.append(section(try program(function, deployment), deployment))
                }
            } catch let error as ManifestError {
                problems += error.problems
            }
        }
        guard problems.isEmpty else { throw ManifestError(problems: problems) }
        return "; Written by \"taproom up\"; what is changed here is lost.\n\n"
            + sections.joined(separator: "\n")
    }

    private func daemon(_ deployment: Deployment) -> String {
        let control = doubled("\(deployment.socketFolder)/supervisor.sock")
        return """
            [supervisord]
            logfile=\(doubled(deployment.log(of: "supervisord")))
            ; A file that it begins by itself could be read by everybody.
            logfile_maxbytes=0
            pidfile=\(doubled(deployment.pidFolder))/supervisord.pid
            childlogdir=\(doubled(deployment.logFolder))
            \(deployment.user == nil ? "" : "; Only root can switch users; told so, supervisord does not warn.\nuser=root\n")
            [unix_http_server]
            file=\(control)
            chmod=0700

            [rpcinterface:supervisor]
            supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

            [supervisorctl]
            serverurl=unix://\(control)

            """
    }

    private func section(_ function: FunctionEntry, _ deployment: Deployment) throws -> String {
        let environment = try SupervisordEnvironment(self.environment(of: function, in: deployment))
        let owner = deployment.user.map { user in user + (deployment.group.map { ":\($0)" } ?? "") }
        let script = "[ $1 = 0 ] && exec sleep infinity; \(environment.decoding)exec \"$2\" >>\"$3\" 2>&1"
        let words = [
            "\(deployment.executableFolder)/\(function.executable)", deployment.log(of: function.name),
        ].map(commandWord)
        return """
            [fcgi-program:\(function.name)]
            socket=unix://\(doubled(deployment.socket(of: function)))
            socket_mode=0660
            \(owner.map { "socket_owner=\($0)\n" } ?? "")\
            socket_backlog=\(max(128, 8 * function.reservedConcurrency))
            numprocs=2
            process_name=%(program_name)s_%(process_num)d
            command=/bin/sh -c '\(script)' \(function.name) %(process_num)d \(words.joined(separator: " "))
            \(user(deployment.user))\
            priority=\(Program.functionPriority)
            stopsignal=TERM
            stopwaitsecs=\(function.timeout + 5)
            \(lifecycle)
            environment=\(environment.text)

            """
    }

    /// A function that no request calls. A relay ends within its time-out and ten seconds for the broker's confirms.
    private func program(_ function: FunctionEntry, _ deployment: Deployment) throws -> Program {
        Program(
            name: function.name, command: ["\(deployment.executableFolder)/\(function.executable)"],
            stopTimeout: function.timeout + (function.outbox == nil ? 5 : 15), user: deployment.user,
            priority: Program.functionPriority, environment: try environment(of: function, in: deployment))
    }

    private func section(_ program: Program, _ deployment: Deployment) -> String {
        let environment = SupervisordEnvironment(program.environment)
        let script = "exec >>\"$1\" 2>&1; shift; \(environment.decoding)exec \"$@\""
        let words = ([deployment.log(of: program.name)] + program.command).map(commandWord)
        return """
            [program:\(program.name)]
            command=/bin/sh -c '\(script)' \(program.name) \(words.joined(separator: " "))
            \(user(program.user))\
            priority=\(program.priority)
            stopsignal=\(program.stopSignal)
            stopwaitsecs=\(program.stopTimeout)
            \(lifecycle)
            environment=\(environment.text)

            """
    }

    private func user(_ name: String?) -> String { name.map { "user=\($0)\n" } ?? "" }

    /// Output goes straight to the log file: through supervisord's pipes, one Python thread would copy all of it, and a
    /// full pipe would block its writer. A process is started again whatever its exit status, without end.
    private var lifecycle: String {
        """
        autorestart=true
        startsecs=1
        startretries=1000000
        stdout_logfile=NONE
        stderr_logfile=NONE
        """
    }
}
