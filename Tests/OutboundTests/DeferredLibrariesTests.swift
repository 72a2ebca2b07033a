import TestSupport
import Testing

/// TLS over the libcurl that functions get, which loads the libraries for it when it calls them
/// (scripts/defer-libraries). The command curl shows what it does with them: it can be told whom to trust.
@Suite struct DeferredLibrariesTests {
    private let server: TLSServer

    init() throws { server = try TLSServer() }

    private func curl(_ host: String, trusting root: Certificate, _ options: String...) throws -> TestProcess {
        try TestProcess.run(
            "curl",
            options + [
                "-sS", "--max-time", "60", "--noproxy", "*", "--cacert", root.path,
                "--resolve", "\(host):\(server.port):127.0.0.1", "https://\(host):\(server.port)/",
            ], environment: ["LD_LIBRARY_PATH": TestProcess.product("libraries"), "LD_DEBUG": "files"])
    }

    @Test func aTrustedServerAnswers() throws {
        let answer = try curl(Certificate.host, trusting: server.certificate)
        #expect(answer.status == 0 && answer.output.contains("Cipher    : TLS_"), "\(answer.output)")
        #expect(answer.errors.contains("file=libssl.so.3 [0];  dynamically loaded by"), "\(answer.errors)")
    }

    @Test func theServersCertificateIsChecked() throws {
        let other = try curl("wine.example", trusting: server.certificate)
        #expect(other.errors.contains("no alternative certificate subject name matches"), "\(other.errors)")
        let folder = try TemporaryFolder()
        let stranger = try curl(Certificate.host, trusting: try Certificate(folder.path + "/stranger"))
        #expect(stranger.errors.contains("SSL certificate problem"), "\(stranger.errors)")
        #expect(other.output.isEmpty && stranger.output.isEmpty)
    }

    @Test("OpenSSL's start, which is put off until it is called, brings its messages")
    func failuresAreToldInWords() throws {
        let old = try curl(Certificate.host, trusting: server.certificate, "--tls-max", "1.0")
        #expect(old.errors.contains("SSL routines::tlsv1 alert"), "\(old.errors)")
    }
}
