import Foundation

import enum TestSupport.Loopback

@testable import Manifest

/// A real nginx with a rendered configuration, on a free port and in a folder of its own; stopped with the last
/// reference.
final class Gateway {
    let port: Int
    let deployment: Deployment
    private let folder: TemporaryFolder
    private let process: ServerProcess

    init(_ manifest: Manifest) throws {
        let folder = try TemporaryFolder()
        self.folder = folder
        (process, deployment) = try waitUntil("nginx finds a port and listens") {
            let port = try Loopback.freePort()
            let deployment = Deployment(
                gatewayPort: port, socketFolder: folder.path, executableFolder: folder.path, logFolder: folder.path,
                temporaryFolder: folder.path, pidFolder: folder.path, user: getuid() == 0 ? "root" : nil)
            let file = try folder.write(manifest.nginxConfiguration(deployment), to: "nginx.conf")
            let process = try ServerProcess("/usr/sbin/nginx", ["-g", "daemon off;", "-c", file])
            let listens = try waitUntil("nginx listens or ends") { () -> Bool? in
                if !process.isRunning { return false }
                guard let connection = try? connectLoopback(port: port) else { return nil }
                close(connection)
                return true
            }
            return listens ? (process, deployment) : nil
        }
        port = deployment.gatewayPort
    }

    func stub(_ function: String, _ behaviour: StubFunction.Behaviour) throws -> StubFunction {
        try StubFunction(at: "\(folder.path)/\(function).sock", behaviour)
    }

    /// Sends a request with `Connection: close` and reads the whole answer.
    func send(
        _ method: String, _ target: String, headers: [String] = [], body: String? = nil
    ) throws -> HTTPAnswer {
        var lines = ["\(method) \(target) HTTP/1.1", "Host: localhost", "Connection: close"] + headers
        if let body { lines.append("Content-Length: \(body.utf8.count)") }
        return try send(raw: (lines + ["", body ?? ""]).joined(separator: "\r\n"))
    }

    func send(raw: String) throws -> HTTPAnswer {
        let connection = try open(raw: raw)
        defer { close(connection) }
        var bytes: [UInt8] = []
        while case let more = try receive(from: connection), !more.isEmpty { bytes += more }
        return try HTTPAnswer(bytes)
    }

    /// Sends and does not wait; whoever calls closes the descriptor.
    func open(raw: String) throws -> Int32 {
        let connection = try connectLoopback(port: port)
        // The gateway may refuse and close before it has read all.
        try? ManifestTests.send(Array(raw.utf8), to: connection)
        return connection
    }

    /// Waits until the access log, which is written with a delay, has a line with `text` in it.
    func logLine(containing text: String) throws -> String {
        try waitUntil("access.log has \(text)") {
            folder.read("access.log")?.split(separator: "\n").first { $0.contains(text) }.map(String.init)
        }
    }
}

struct HTTPAnswer {
    let status: Int
    let headers: [(name: String, value: String)]
    let body: String

    init(_ bytes: [UInt8]) throws {
        let text = String(decoding: bytes, as: UTF8.self)
        guard let end = text.firstRange(of: "\r\n\r\n") else { throw NotHTTP(text: text) }
        let lines = text[..<end.lowerBound].split(separator: "\r\n")
        guard let status = lines.first?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
            throw NotHTTP(text: text)
        }
        self.status = status
        headers = lines.dropFirst().map { line in
            let parts = line.split(separator: ":", maxSplits: 1)
            return (parts[0].lowercased(), parts.count > 1 ? parts[1].trimmingCharacters(in: .whitespaces) : "")
        }
        body = String(text[end.upperBound...])
    }

    /// Every value that the header came with.
    func values(_ name: String) -> [String] { headers.filter { $0.name == name }.map(\.value) }
}

struct NotHTTP: Error {
    let text: String
}

struct Problem: Decodable {
    let type: String
    let title: String
    let status: Int
    let detail: String
    let instance: String
    let executed: String?

    /// Throws unless `answer` is a complete problem of RFC 9457.
    init(_ answer: HTTPAnswer) throws {
        self = try JSONDecoder().decode(Problem.self, from: Data(answer.body.utf8))
    }
}
