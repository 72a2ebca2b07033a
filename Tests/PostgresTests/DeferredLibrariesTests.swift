import Foundation
import Glibc
import Postgres
import Runtime
import TestSupport
import Testing

/// The libpq that functions get, which loads the libraries for TLS, Kerberos and LDAP when it calls them
/// (scripts/defer-libraries). psql shows what it does with them: it names nothing but libpq.
@Suite struct DeferredLibrariesTests {
    /// Lets in by password over TLS alone, and the role `kerberos` by a ticket alone.
    private static let server: Result<PostgresServer, any Error> = Result {
        let server = try PostgresServer()
        let data = server.folder + "/data"
        let certificate = try Certificate(data + "/server")
        chmod(certificate.key, 0o600)
        _ = try TestProcess.run(
            "chown", ["--reference=\(data)/PG_VERSION", certificate.key, certificate.path])
        let session = try server.connect(to: server.url("postgres"))
        try session.run(script: "ALTER SYSTEM SET ssl = on", deadline: .never)
        try session.run(script: "CREATE ROLE beer LOGIN PASSWORD 'hop'; CREATE ROLE kerberos LOGIN", deadline: .never)
        let rules = """
            local all all trust
            host all kerberos 127.0.0.1/32 gss
            hostssl all beer 127.0.0.1/32 scram-sha-256
            host all postgres 127.0.0.1/32 trust

            """
        let file = try FileHandle(forUpdating: URL(filePath: data + "/pg_hba.conf"))
        try file.truncate(atOffset: 0)
        try file.write(contentsOf: Data(rules.utf8))
        try file.close()
        try server.restart(mode: .fast)
        return server
    }

    private let server: PostgresServer
    private let folder: TemporaryFolder

    init() throws {
        server = try Self.server.get()
        folder = try TemporaryFolder()
    }

    private func psql(_ connection: String, environment: [String: String] = [:]) throws -> TestProcess {
        let libraries = ["LD_LIBRARY_PATH": TestProcess.product("libraries"), "PGCONNECT_TIMEOUT": "20"]
        // The parent of the shell is psql: what it has loaded.
        let commands = "\\conninfo\nSELECT current_user;\n\\! grep -o '/lib[a-z0-9_-]*' /proc/$PPID/maps | sort -u\n"
        return try TestProcess.run(
            "psql", ["-XAt", "dbname=postgres port=\(server.port) \(connection)"], input: commands,
            environment: libraries.merging(environment) { $1 })
    }

    @Test func aSessionOverAUnixSocketLoadsNoneOfThem() throws {
        let result = try psql("host=\(server.folder) user=beer")
        #expect(result.output.contains("\nbeer\n"), "\(result)")
        #expect(result.output.contains("/libpq-deferred"), "\(result)")
        #expect(!result.output.contains(/libssl|libcrypto|libgssapi|libldap/), "\(result)")
    }

    @Test func tlsAndAPasswordBoundToItWork() throws {
        let result = try psql("host=127.0.0.1 user=beer password=hop sslmode=require channel_binding=require")
        #expect(result.output.contains("SSL connection (protocol: TLSv1.3, cipher: TLS_"), "\(result)")
        #expect(result.output.contains("\nbeer\n") && result.output.contains("/libcrypto"), "\(result)")
        #expect(!result.output.contains("/libldap"), "\(result)")
        let wrong = try psql("host=127.0.0.1 user=beer password=malt sslmode=require")
        #expect(wrong.errors.contains("password authentication failed"), "\(wrong)")
    }

    @Test func theServersCertificateIsChecked() throws {
        let known = "user=beer password=hop sslmode=verify-full hostaddr=127.0.0.1"
        let root = "sslrootcert=\(folder.path)/root.crt"
        try folder.write("root.crt", try String(contentsOfFile: server.folder + "/data/server.crt", encoding: .utf8))
        #expect(try psql("\(known) host=\(Certificate.host) \(root)").output.contains("\nbeer\n"))
        let other = try psql("\(known) host=wine.example \(root)")
        #expect(other.errors.contains("server certificate for \"\(Certificate.host)\" does not match"), "\(other)")
        let unknown = try Certificate(folder.path + "/stranger")
        let stranger = try psql("\(known) host=\(Certificate.host) sslrootcert=\(unknown.path)")
        #expect(stranger.errors.contains("certificate verify failed"), "\(stranger)")
    }

    @Test func kerberosIsAskedForItsTicket() throws {
        let cache = "FILE:\(folder.path)/tickets"
        let result = try psql("host=127.0.0.1 user=kerberos gssencmode=disable", environment: ["KRB5CCNAME": cache])
        // In the words of Kerberos itself, which has been given the service's name.
        #expect(result.errors.contains("GSSAPI continuation error"), "\(result)")
        #expect(result.errors.contains("No Kerberos credentials available (default cache: \(cache))"), "\(result)")
    }

    @Test func aServiceIsLookedUpByLDAP() throws {
        let directory = try StreamListener()
        try folder.write(
            "services",
            """
            [shop]
            ldap://127.0.0.1:\(directory.port)/dc=example?description?one?(cn=shop)
            host=\(server.folder)
            user=beer

            """)
        // It answers nothing: libpq takes what else the file says once the connection has ended.
        let asked = Background { () -> [UInt8] in
            guard let client = directory.accept() else { return [] }
            defer { client.close() }
            return try client.receive()
        }
        let result = try psql("service=shop", environment: ["PGSERVICEFILE": folder.path + "/services"])
        directory.stop()
        #expect(result.output.contains("\nbeer\n") && result.output.contains("/libldap"), "\(result)")
        // A bind request (RFC 4511, section 4.2): a message, its number, and the operation's tag.
        let request = try asked.value()
        #expect(request.first == 0x30 && request.dropFirst(5).first == 0x60, "\(request)")
    }
}
