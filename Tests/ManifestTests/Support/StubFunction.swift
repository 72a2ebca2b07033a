import Glibc
import Synchronization

/// A listening socket in place of a function, which does as little with a request as its behaviour says.
final class StubFunction: Sendable {
    enum Behaviour {
        /// Reads the request, then closes without an answer: a process that dies.
        case dies
        /// Reads the request and never answers.
        case hangs
        /// Answers with these CGI headers, each line ended, and a body.
        case answers(String = "Status: 200 OK\r\n", body: String = "")
    }

    private struct Seen {
        var parameters: [[String: String]] = []
        var open: [Int32] = []
    }

    private let listener: Int32
    private let seen = Mutex(Seen())

    init(at path: String, _ behaviour: Behaviour) throws {
        let listener = try listenUnix(path)
        self.listener = listener
        // Whoever connects is another user when the tests run as root.
        chmod(path, 0o777)
        let loop = Loop { [weak self] in
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { return }
                guard let self else {
                    close(connection)
                    return
                }
                self.serve(connection, behaviour)
            }
        }
        try loop.start()
    }

    deinit {
        // Wakes accept; the loop then ends.
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
        seen.withLock { $0.open.forEach { close($0) } }
    }

    /// The parameters of every request so far, in order.
    var requests: [[String: String]] { seen.withLock { $0.parameters } }

    private func serve(_ connection: Int32, _ behaviour: Behaviour) {
        guard let parameters = try? readFastCGIRequest(from: connection) else {
            close(connection)
            return
        }
        seen.withLock { $0.parameters.append(parameters) }
        switch behaviour {
        case .dies:
            close(connection)
        case .hangs:
            seen.withLock { $0.open.append(connection) }
        case .answers(let headers, let body):
            let text = "\(headers)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
            let records = fastCGIRecord(type: 6, Array(text.utf8)) + fastCGIRecord(type: 3, [0, 0, 0, 0, 0, 0, 0, 0])
            try? send(records, to: connection)
            close(connection)
        }
    }
}

/// A plain thread: accept blocks, and must not block one of the cooperative pool.
private final class Loop: Sendable {
    private let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) {
        self.body = body
    }

    func start() throws {
        var thread = pthread_t()
        let created = pthread_create(
            &thread, nil,
            { context in
                if let context { Unmanaged<Loop>.fromOpaque(context).takeRetainedValue().body() }
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        guard created == 0 else { throw SocketError("pthread_create") }
        pthread_detach(thread)
    }
}
