extension Manifest {
    /// What no quoting can put right.
    func problems(of deployment: Deployment) -> [ManifestError.Problem] {
        let folders = [
            ("socketFolder", deployment.socketFolder), ("executableFolder", deployment.executableFolder),
            ("logFolder", deployment.logFolder), ("pidFolder", deployment.pidFolder),
        ]
        var problems = folders.compactMap { name, path -> ManifestError.Problem? in
            if !path.hasPrefix("/") { return problem("\(name) \"\(path)\" is not an absolute path") }
            // Folders stand unquoted in the configuration, where these are comments or line ends.
            if path.firstMatch(of: /[\x00-\x1f\x7f]|\s[;#]/) != nil {
                return problem(
                    "\(name) \"\(path)\" cannot be written into supervisord's configuration: no control characters, "
                        + "no ; or # after a space")
            }
            return nil
        }
        let served = [
            ("logFolder", deployment.logFolder), ("temporaryFolder", deployment.temporaryFolder),
            ("socketFolder", deployment.socketFolder), ("pidFolder", deployment.pidFolder),
            ("documentsFolder", deployment.documentsFolder ?? ""),
        ]
        for (name, path) in served where path.contains("$") {
            problems.append(problem("\(name) \"\(path)\" cannot be written into nginx's configuration: no $"))
        }
        for function in functions where function.source == nil {
            let socket = deployment.socket(of: function)
            if socket.utf8.count > 107 {
                problems.append(
                    problem("socket path \(socket) is over 107 bytes; use a shorter folder", of: function))
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

    private func problem(_ message: String, of function: FunctionEntry? = nil) -> ManifestError.Problem {
        ManifestError.Problem(
            file: file, line: function?.line, key: function.map { "functions.\($0.name)" } ?? "", message: message)
    }
}
