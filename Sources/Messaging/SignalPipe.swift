import Glibc

/// The reading end of a service's named pipe of signals; see `RelaySignal` of Events for the other.
final class SignalPipe: Sendable {
    /// For poll(2); −1 when there is no pipe.
    let descriptor: Int32

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Makes the pipe if it is missing.
    /// - Parameter path: empty for none: the relay then finds events by its sweeps alone.
    init(path: String) throws(Failure) {
        guard !path.isEmpty else {
            descriptor = -1
            return
        }
        if mkfifo(path, 0o660) != 0, errno != EEXIST {
            throw Failure(description: "cannot make the pipe \(path): \(String(cString: strerror(errno)))")
        }
        // Open for writing too: it never reads the end of file that follows the last writer.
        descriptor = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw Failure(description: "cannot open the pipe \(path): \(String(cString: strerror(errno)))")
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFIFO else {
            throw Failure(description: "\(path) is not a pipe: remove it")
        }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Takes all signals out of the pipe.
    func drain() {
        guard descriptor >= 0 else { return }
        var bytes = [UInt8](repeating: 0, count: 4096)
        while read(descriptor, &bytes, bytes.count) == bytes.count {}
    }
}
