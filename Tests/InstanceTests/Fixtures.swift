import Foundation
import Glibc

@testable import Instance

/// A folder that goes with its owner.
final class TemporaryFolder: Sendable {
    let path: String

    /// - Parameter mode: 0700 keeps out the users that root's parts run as.
    init(mode: mode_t = 0o755) {
        var template = Array("/tmp/taproom-test.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { fatalError("cannot make a folder in /tmp") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        chmod(path, mode)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

enum TestProject {
    /// The folder with Package.swift.
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    /// The tool, built together with this test.
    static let tool = (Placement.resolve("/proc/self/exe") as NSString).deletingLastPathComponent + "/taproom"
}

/// A state folder, a configuration and a port of a test's own; it is stopped and forgotten with its owner.
final class PrivateInstance: Sendable {
    let folder: TemporaryFolder
    let port: Int
    let state: String

    init(folderMode: mode_t = 0o755) throws {
        folder = TemporaryFolder(mode: folderMode)
        state = folder.path + "/state"
        // Below the kernel's range for outgoing connections, and another for each test process.
        let first = 20000 + Int(getpid()) % 8000
        guard let free = (first..<32000).first(where: { Ports.isFree($0) && Ports.isFree($0 + 1000) }) else {
            throw InstanceError("no free port")
        }
        port = free
    }

    deinit { _ = try? run("clean-state") }

    func run(_ arguments: String..., port: Int? = nil) throws -> Subprocess {
        try Subprocess.run(
            [TestProject.tool] + arguments,
            environment: [
                "TAPROOM_STATE": state, "TAPROOM_PORT": "\(port ?? self.port)",
                "TAPROOM_CONFIG": folder.path + "/config.json", "PATH": Subprocess.searchPath,
            ])
    }

    /// What `status --json` promises to other programs.
    struct Report: Decodable {
        struct Function: Decodable {
            let name: String
            let kind: String
            let state: String
            let pids: [Int]
        }
        let gateway: String
        let databases: [String: String]
        let functions: [Function]
        let state: String
    }

    func report() throws -> Report {
        try JSONDecoder().decode(Report.self, from: Data(try run("status", "--json").output.utf8))
    }

    var gateway: Gateway { Gateway(port: port) }
}
