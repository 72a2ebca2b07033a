import CCrypto

/// Digests by OpenSSL, which is loaded with the first call.
public enum Digest {
    /// SHA-256 (FIPS 180-4): 32 bytes.
    public static func sha256(_ message: some Sequence<UInt8>) -> [UInt8] {
        let message = Array(message)
        return code { SHA256(message, message.count, $0) }
    }

    /// HMAC (RFC 2104) with SHA-256: 32 bytes.
    public static func hmacSHA256(_ message: some Sequence<UInt8>, key: [UInt8]) -> [UInt8] {
        let message = Array(message)
        return code { HMAC(EVP_sha256(), key, Int32(key.count), message, message.count, $0, nil) }
    }

    /// Ends the process where OpenSSL fails: without memory, or where its configuration forbids SHA-256.
    private static func code(_ write: (UnsafeMutablePointer<UInt8>?) -> UnsafeMutablePointer<UInt8>?) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Int(SHA256_DIGEST_LENGTH)) { buffer, count in
            guard write(buffer.baseAddress) != nil else { fatalError("OpenSSL has no SHA-256") }
            count = buffer.count
        }
    }
}
