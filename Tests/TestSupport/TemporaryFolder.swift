import Foundation

/// A folder under /tmp that goes when nobody holds it any more. Every user may enter and read it.
public final class TemporaryFolder: Sendable {
    public let path: String

    /// - Parameter prefix: of its name.
    public init(prefix: String = "taproom-test-") throws {
        path = "/tmp/\(prefix)\(UUID().uuidString.lowercased())"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o755])
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file, with the folders on the way to it.
    public func write(_ name: String, _ text: String) throws {
        let file = URL(filePath: "\(path)/\(name)")
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
    }

    public func read(_ name: String) throws -> String {
        String(decoding: try Data(contentsOf: URL(filePath: "\(path)/\(name)")), as: UTF8.self)
    }

    /// Copies an executable, ready to be started: by a process of its own, because a file that this process has open for
    /// writing may be inherited by a child that another thread starts, and then cannot be executed ("text file busy").
    public func copy(executable: String, to name: String) throws {
        let result = try TestProcess.run("cp", [executable, "\(path)/\(name)"])
        guard result.status == 0 else { throw CocoaError(.fileWriteUnknown, userInfo: ["cp": result.errors]) }
    }

    public func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: "\(path)/\(name)") }
}
