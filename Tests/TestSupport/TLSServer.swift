/// OpenSSL's own server on a port of 127.0.0.1, with a certificate that nobody trusts by itself. It answers every GET with a
/// page about the connection.
public final class TLSServer: Sendable {
    public let certificate: Certificate
    public let port: String
    private let folder: TemporaryFolder
    private let process: ChildProcess

    /// - Throws: when it cannot be started, or says no port.
    public init() throws {
        folder = try TemporaryFolder()
        certificate = try Certificate(folder.path + "/server")
        let process = try ChildProcess(
            "/bin/sh",
            arguments: [
                "-c", #"exec openssl s_server -accept 127.0.0.1:0 -www -cert "$1" -key "$2" >&2"#, "sh",
                certificate.path, certificate.key,
            ], environment: TestProcess.surroundings)
        self.process = process
        port = try Eventually.gives("the server's port") {
            process.lines.first { $0.hasPrefix("ACCEPT") }?.split(separator: ":").last.map(String.init)
        }
    }
}
