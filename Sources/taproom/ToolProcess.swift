@preconcurrency import Glibc

/// Rids the process of what it inherits beside its arguments and variables, and no command may depend on.
enum ToolProcess {
    /// To be called before there is another thread.
    static func prepare() {
        openStandardStreams()
        // A reader of what is printed that goes does not end what is in hand.
        signal(SIGPIPE, SIG_IGN)
        unsetPostgresVariables()
    }

    /// A closed one would be the descriptor of the next session with PostgreSQL, and take what is printed into it.
    /// Opened for the other direction, it fails whoever uses it, as a closed one does.
    private static func openStandardStreams() {
        for (stream, mode) in [(STDIN_FILENO, O_WRONLY), (STDOUT_FILENO, O_RDONLY), (STDERR_FILENO, O_RDONLY)]
        where fcntl(stream, F_GETFD) < 0 {
            // The lowest free descriptor, which is this one.
            _ = open("/dev/null", mode)
        }
    }

    /// libpq takes from them what a URI leaves open, and settings of the session: the functions, which have none of
    /// them, would work with another server or other settings than the tool.
    private static func unsetPostgresVariables() {
        var names: [String] = []
        var entry = environ
        while let text = entry.pointee {
            names.append(String(String(cString: text).prefix { $0 != "=" }))
            entry += 1
        }
        for name in names where name.hasPrefix("PG") { unsetenv(name) }
    }
}
