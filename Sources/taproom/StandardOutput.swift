import ArgumentParser
@preconcurrency import Glibc
import Instance
import Runtime

/// Prints a value as JSON for programs.
func printJSON(_ value: some Encodable) throws { print(try JSON.text(value, isPretty: true)) }

/// Writes out what was printed.
/// - Throws: `InstanceError` when some of it could not be written, now or before; a bare exit status when its reader
///   has gone, which needs no word.
func flushStandardOutput() throws {
    // `print` tells nobody of its failures; the stream keeps a mark of each.
    guard fflush(stdout) == 0, ferror(stdout) == 0 else {
        if isStandardOutputUnread() { throw ExitCode.failure }
        throw InstanceError("standard output cannot be written: what was printed is not complete")
    }
}

/// Whether standard output is a pipe whose reader has gone, such as `head` after its last line.
func isStandardOutputUnread() -> Bool {
    var output = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
    return poll(&output, 1, 0) == 1 && Int32(output.revents) & (POLLERR | POLLHUP) != 0
}
