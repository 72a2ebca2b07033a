import Glibc
import Runtime

/// What this process writes on standard error.
public enum StandardError {
    private static let lock = Lock(())

    /// What is written while `body` runs, by other tests too: look for a text that nobody else writes. It is passed on
    /// afterwards. One call at a time; another one waits.
    public static func captured(_ body: () throws -> Void) throws -> String {
        try lock.withLock { _ in
            let folder = try TemporaryFolder()
            let usual = dup(STDERR_FILENO)
            let file = open("\(folder.path)/log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
            dup2(file, STDERR_FILENO)
            defer {
                close(file)
                close(usual)
            }
            let outcome = Result { try body() }
            dup2(usual, STDERR_FILENO)
            let text = try folder.read("log")
            _ = Array(text.utf8).withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
            try outcome.get()
            return text
        }
    }
}
