import ArgumentParser
@preconcurrency import Glibc
import Instance

extension Taproom {
    /// Runs the command. What it printed and could not be written, as to a full disk, makes it fail.
    static func main() {
        main(nil)
        // `print` tells nobody of its failures; the stream keeps a mark of each.
        guard fflush(stdout) == 0, ferror(stdout) == 0 else {
            exit(withError: InstanceError("standard output cannot be written: what was printed is not complete"))
        }
    }
}
