import Glibc
import Synchronization
import TestSupport

/// A listening socket in place of a function, which does as little with a request as its behaviour says.
final class StubFunction: Sendable {
    enum Behaviour {
        /// Reads the request, then closes without an answer: a process that dies.
        case dies
        /// Reads the request and never answers.
        case hangs
        /// Answers with these CGI headers, each line ended, and a body.
        case answers(String = "Status: 200 OK\r\n", body: String = "")
        /// Begins an answer, and ends it as our functions end one that they cannot finish.
        case breaksOff(body: String)
    }

    private struct Seen {
        var parameters: [[String: String]] = []
        var open: [FastCGIProbe] = []
    }

    private let listener: StreamListener
    private let seen = Mutex(Seen())

    init(at path: String, _ behaviour: Behaviour) throws {
        let listener = try StreamListener(path: path)
        self.listener = listener
        // Whoever connects is another user when the tests run as root.
        chmod(path, 0o777)
        _ = Background { [weak self] in
            while let connection = listener.accept() { self?.serve(FastCGIProbe(socket: connection), behaviour) }
        }
    }

    deinit { listener.stop() }

    /// The parameters of every request so far, in order.
    var requests: [[String: String]] { seen.withLock { $0.parameters } }

    private func serve(_ gateway: FastCGIProbe, _ behaviour: Behaviour) {
        guard let parameters = try? readFastCGIRequest(from: gateway) else { return }
        seen.withLock { $0.parameters.append(parameters) }
        switch behaviour {
        case .dies: break
        case .hangs: seen.withLock { $0.open.append(gateway) }
        case .answers(let headers, let body):
            let text = "\(headers)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
            try? gateway.send([
                FastCGIRecord(.standardOutput, Array(text.utf8)), FastCGIRecord(.end, [UInt8](repeating: 0, count: 8)),
            ])
        case .breaksOff(let body):
            try? gateway.send([FastCGIRecord(.standardOutput, Array("Status: 200 OK\r\n\r\n\(body)".utf8))])
            try? gateway.socket.send([UInt8](repeating: 0, count: 8))
        }
    }
}
