import Glibc
import Runtime

/// The e-commerce platform, played by the test: an HTTP server on a free port of the loopback address, one thread per
/// connection, that makes one order per request id and otherwise does what its script says.
///
/// It ends with `stop`, or when it goes.
public final class ScriptedPlatform: Sendable {
    private let server: Server

    public init() throws { server = try Server() }

    deinit { server.stop() }

    public var port: Int { server.listener.port }

    /// What `ecommerce.url` is set to.
    public var url: String { "http://127.0.0.1:\(port)/ecommerce" }

    /// Sets what happens to every request from now on; at first each one makes its order.
    public func behave(_ script: @escaping @Sendable (PlatformRequest) -> PlatformBehaviour) {
        server.state.withLock { $0.script = script }
    }

    /// Sets which connections, counted from 0, are closed at once without reading a byte; at first none.
    public func closeConnections(where doomed: @escaping @Sendable (Int) -> Bool) {
        server.state.withLock { $0.isDoomed = doomed }
    }

    /// Every request that came whole, in order of arrival.
    public var requests: [PlatformRequest] { server.state.withLock { $0.requests } }
    /// Every request id for which an order was made, with how many were made: more than 1 is a fault of this server.
    public var orders: [String: Int] { server.state.withLock { $0.made } }
    public var orderCount: Int { orders.values.reduce(0, +) }
    public var connectionCount: Int { server.state.withLock { $0.connections } }

    /// Waits until so many requests have come.
    public func waitForRequests(_ count: Int) throws {
        try Eventually.happens("\(count) requests at the platform") { requests.count >= count }
    }

    /// Closes the port and every connection.
    public func stop() { server.stop() }
}

/// What the threads of the platform share; they keep it alive, and not the platform itself.
private final class Server: Sendable {
    struct State {
        var script: @Sendable (PlatformRequest) -> PlatformBehaviour = { _ in .order }
        var isDoomed: @Sendable (Int) -> Bool = { _ in false }
        var requests: [PlatformRequest] = []
        /// The body that made the order of a request id.
        var payloads: [String: [UInt8]] = [:]
        var made: [String: Int] = [:]
        var connections = 0
        var open: [Int: StreamSocket] = [:]
        var isStopped = false
    }

    let listener: StreamListener
    let state = Lock(State())

    init() throws {
        listener = try StreamListener()
        _ = Background { [self] in acceptAll() }
    }

    func stop() {
        listener.stop()
        let open = state.withLock { state in
            state.isStopped = true
            return state.open
        }
        open.values.forEach { $0.abort() }
    }

    private func acceptAll() {
        while let socket = listener.accept() {
            let (number, isDoomed, isStopped) = state.withLock { state in
                let number = state.connections
                state.connections += 1
                state.open[number] = socket
                return (number, state.isDoomed, state.isStopped)
            }
            _ = Background { [self] in
                if !isStopped, !isDoomed(number) { try? serve(socket) }
                state.withLock { $0.open[number] = nil }
                socket.close()
            }
        }
    }

    private func serve(_ socket: StreamSocket) throws {
        var reader = HTTPMessageReader(socket)
        guard let (line, fields) = try reader.head() else { return }
        let parts = line.split(separator: " ")
        guard parts.count == 3 else { return }
        let body = try reader.body(fields, untilEnd: false)
        let id = String(parts[1].split(separator: "/", omittingEmptySubsequences: false).last ?? "")
        let (request, script) = state.withLock { state in
            let request = PlatformRequest(
                ordinal: state.requests.count, method: String(parts[0]), target: String(parts[1]), requestID: id,
                headers: fields, body: body, times: 1 + state.requests.count { $0.requestID == id })
            state.requests.append(request)
            return (request, state.script)
        }
        let behaviour = script(request)
        pause(behaviour.before)
        let order = behaviour.acts ? act(request) : Self.made(id)
        pause(behaviour.after)
        switch behaviour.reply {
        case .order: try socket.send(order)
        case .answer(let status, let body, let headers): try socket.send(Self.answer(status, body, headers))
        case .bytes(let bytes): try socket.send(bytes)
        case .begun(let count): try socket.send(Array(order.prefix(count)))
        case .nothing: break
        }
    }

    private func pause(_ pause: PlatformBehaviour.Pause) {
        switch pause {
        case .none: break
        case .milliseconds(let count): usleep(UInt32(count) * 1000)
        case .until(let gate): while !gate.wait(milliseconds: 50), !state.withLock({ $0.isStopped }) {}
        }
    }

    /// Makes the order of a request id unless it is made, and gives the answer to it.
    private func act(_ request: PlatformRequest) -> [UInt8] {
        let id = request.requestID
        let isConflict = state.withLock { state in
            if let payload = state.payloads[id] { return payload != request.body }
            state.payloads[id] = request.body
            state.made[id, default: 0] += 1
            return false
        }
        return isConflict ? Self.answer(409, Array(#"{"error":"another payload"}"#.utf8), []) : Self.made(id)
    }

    /// The same bytes for the same request id.
    private static func made(_ id: String) -> [UInt8] {
        answer(200, Array(#"{"order_id":"order-of-\#(id)","request_id":"\#(id)","status":"created"}"#.utf8), [])
    }

    private static func answer(_ status: Int, _ body: [UInt8], _ headers: [(name: String, value: String)]) -> [UInt8] {
        var head = "HTTP/1.1 \(status) Scripted\r\nContent-Type: application/json\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        head += "Content-Length: \(body.count)\r\nConnection: close\r\n\r\n"
        return Array(head.utf8) + body
    }
}
