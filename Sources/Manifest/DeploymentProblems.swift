extension Deployment {
    /// What the path of a folder must be without for supervisord, in whose configuration it stands unquoted and these are
    /// comments or line ends; `nil` when it is.
    public static func refusedBySupervisord(_ path: String) -> String? {
        path.contains(/[\x00-\x1f\x7f]|\s[;#]/) ? "no control characters, no ; or # after a space" : nil
    }

    /// What it must be without for nginx, which knows no escape for it; `nil` when it is.
    public static func refusedByNginx(_ path: String) -> String? { path.contains("$") ? "no $" : nil }
}

extension Manifest {
    /// What no quoting can put right.
    func problems(of deployment: Deployment) -> [ManifestError.Problem] {
        let folders = [
            ("socketFolder", deployment.socketFolder), ("executableFolder", deployment.executableFolder),
            ("logFolder", deployment.logFolder), ("pidFolder", deployment.pidFolder),
        ]
        var problems = folders.compactMap { name, path -> ManifestError.Problem? in
            if !path.hasPrefix("/") { return problem("\(name) \"\(path)\" is not an absolute path") }
            return Deployment.refusedBySupervisord(path).map { rule in
                problem("\(name) \"\(path)\" cannot be written into supervisord's configuration: \(rule)")
            }
        }
        let served = [
            ("logFolder", deployment.logFolder), ("temporaryFolder", deployment.temporaryFolder),
            ("socketFolder", deployment.socketFolder), ("pidFolder", deployment.pidFolder),
            ("documentsFolder", deployment.documentsFolder ?? ""),
        ]
        for (name, path) in served {
            guard let rule = Deployment.refusedByNginx(path) else { continue }
            problems.append(problem("\(name) \"\(path)\" cannot be written into nginx's configuration: \(rule)"))
        }
        for function in functions where function.source == nil {
            let socket = deployment.socket(of: function)
            if socket.utf8.count > Deployment.longestSocketPath {
                problems.append(
                    problem(
                        "socket path \(socket) is over \(Deployment.longestSocketPath) bytes; use a shorter folder",
                        of: function))
            }
        }
        return problems
    }

    /// Names that are used twice, and words that no command line or environment can hold.
    func problems(of programs: [Program]) -> [ManifestError.Problem] {
        var problems: [ManifestError.Problem] = []
        var taken: Set<String> = []
        for program in programs {
            if !taken.insert(program.name).inserted {
                problems.append(problem("two programs are called \"\(program.name)\""))
            }
            let texts = program.command + program.environment.map(\.1)
            if texts.contains(where: { $0.utf8.contains(0) }) {
                problems.append(problem("program \"\(program.name)\" has a NUL in its command or environment"))
            }
            if program.command.contains(where: { $0.contains(where: \.isNewline) }) {
                problems.append(problem("program \"\(program.name)\" has a line end in its command"))
            }
        }
        for function in functions where taken.contains(function.name) {
            problems.append(problem("the name is taken by a supervised program; use another", of: function))
        }
        return problems
    }
}
