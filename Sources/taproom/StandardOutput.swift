import ArgumentParser
@preconcurrency import Glibc
import Instance

extension Taproom {
    /// Runs the command. What it printed and could not be written, as to a full disk, makes it fail.
    static func main() {
        main(nil)
        do { try flushStandardOutput() } catch { exit(withError: error) }
    }
}

/// Writes out what was printed.
/// - Throws: `InstanceError` when some of it could not be written, now or before.
func flushStandardOutput() throws {
    // `print` tells nobody of its failures; the stream keeps a mark of each.
    guard fflush(stdout) == 0, ferror(stdout) == 0 else {
        throw InstanceError("standard output cannot be written: what was printed is not complete")
    }
}
