import Foundation

/// PostgreSQL's programs, run as an ordinary user: as `postgres` when the tests run as root, which initdb refuses.
struct PostgresTools: Sendable {
    private let folder: String
    private let asOwner: [String]

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// - Throws: when PostgreSQL is not installed.
    init() throws {
        let root = "/usr/lib/postgresql"
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        let newest = versions.compactMap { Int($0) }.max()
        guard let newest else { throw Failure(description: "\(root) holds no version; install the package postgresql") }
        folder = "\(root)/\(newest)/bin"
        asOwner = getuid() == 0 ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] : []
    }

    /// - Throws: with what the program said, when it fails.
    func run(_ program: String, _ arguments: String...) throws {
        let command = asOwner + ["\(folder)/\(program)"] + arguments
        let result = try TestProcess.run(command[0], Array(command.dropFirst()), folder: "/")
        guard result.status == 0 else {
            throw Failure(description: "\(program) failed: \(result.output)\(result.errors)")
        }
    }

    func stopCommand(data: String) -> String {
        (asOwner + ["\(folder)/pg_ctl", "stop", "--mode=immediate", "--pgdata=\(data)"]).joined(separator: " ")
    }

    /// Gives a folder to the user that the server runs as.
    func takeOver(_ folder: String) throws {
        guard !asOwner.isEmpty else { return }
        let result = try TestProcess.run("chown", ["postgres:postgres", folder])
        guard result.status == 0 else { throw Failure(description: result.errors) }
    }

    func append(_ text: String, to file: String) throws {
        let handle = try FileHandle(forUpdating: URL(filePath: file))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data("\n\(text)\n".utf8))
        try handle.close()
    }
}
