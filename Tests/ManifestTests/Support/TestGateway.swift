import Foundation
import TestSupport

@testable import Manifest

/// A real nginx with a rendered configuration, on a free port and in a folder of its own; stopped with the last
/// reference.
final class TestGateway {
    let port: Int
    let deployment: Deployment
    private let folder: TemporaryFolder
    private let process: ServerProcess

    /// - Parameter locations: beside the rendered ones.
    init(_ manifest: Manifest, locations: String = "") throws {
        let folder = try TemporaryFolder.odd()
        self.folder = folder
        (process, deployment) = try Eventually.gives("nginx at a port of its own") {
            let port = try Loopback.freePort()
            let deployment = Deployment(
                gatewayPort: port, socketFolder: folder.path, executableFolder: folder.path, logFolder: folder.path,
                temporaryFolder: folder.path, pidFolder: folder.path, user: getuid() == 0 ? "root" : nil)
            let last = "location / {"
            try folder.write(
                "nginx.conf",
                manifest.nginxConfiguration(deployment).replacing(last, with: "\(locations) \(last)"))
            let process = try ServerProcess(
                "/usr/sbin/nginx", ["-g", "daemon off;", "-c", "\(folder.path)/nginx.conf"])
            try Eventually.happens("nginx to listen or end") { !process.isRunning || Loopback.isListening(port) }
            return process.isRunning ? (process, deployment) : nil
        }
        port = deployment.gatewayPort
    }

    func stub(_ function: String, _ behaviour: StubFunction.Behaviour) throws -> StubFunction {
        try StubFunction(at: "\(folder.path)/\(function).sock", behaviour)
    }

    /// Sends a request with `Connection: close` and reads the whole answer.
    func send(
        _ method: String, _ target: String, headers: [String] = [], body: String? = nil
    ) throws -> HTTPProbe.Response {
        var lines = ["\(method) \(target) HTTP/1.1", "Host: localhost", "Connection: close"] + headers
        if let body { lines.append("Content-Length: \(body.utf8.count)") }
        return try open(raw: (lines + ["", body ?? ""]).joined(separator: "\r\n")).answer(isHead: method == "HEAD")
    }

    func send(raw: String) throws -> HTTPProbe.Response { try open(raw: raw).answer() }

    /// Sends and does not wait.
    func open(raw: String) throws -> HTTPExchange {
        let socket = try StreamSocket.connect(port: port)
        // The gateway may refuse and close before it has read all.
        try? socket.send(raw)
        return HTTPExchange(socket: socket)
    }

    /// Waits until the access log, which is written with a delay, has a line with `text` in it.
    func logLine(containing text: String) throws -> String {
        try Eventually.gives("\(text) in access.log") {
            try? folder.read("access.log").split(separator: "\n").first { $0.contains(text) }.map(String.init)
        }
    }
}

extension HTTPProbe.Response {
    /// Every value that the header came with.
    func values(_ name: String) -> [String] { headers.values(name) }
}
