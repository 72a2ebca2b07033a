/// A certificate that signs itself, for the server `beer.example`.
public struct Certificate: Sendable {
    public static let host = "beer.example"

    /// The file, which is also the root that it is checked against.
    public let path: String
    public let key: String

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// - Parameter base: the path of both files, without `.crt` and `.key`.
    /// - Throws: with what OpenSSL said, when it fails.
    public init(_ base: String) throws {
        path = base + ".crt"
        key = base + ".key"
        let openssl = try TestProcess.run(
            "openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", "/CN=\(Self.host)", "-addext", "subjectAltName=DNS:\(Self.host)", "-keyout", key, "-out", path,
            ])
        guard openssl.status == 0 else { throw Failure(description: openssl.errors) }
    }
}
