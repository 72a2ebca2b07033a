import Digests
import Foundation

/// The password of a database role, in the form in which PostgreSQL is told it.
struct RolePassword {
    let password: String

    /// A secret of 128 random bits, as `randomSecret` makes them.
    private var isRandom: Bool { password.wholeMatch(of: /[0-9a-f]{32}/) != nil }

    /// How the verifier begins that PostgreSQL should keep.
    ///
    /// The rounds of SCRAM (RFC 5802; 4096 by default) make guessing dear. Who guesses a random secret does not get
    /// there with one round either, and each new session pays for the rounds: 3 to 4 ms. Other passwords, such as one
    /// that somebody has thought of, keep the default.
    var verifierPrefix: String { isRandom ? "SCRAM-SHA-256$1:" : "SCRAM-SHA-256$" }

    /// What `PASSWORD` gets: the finished verifier, or the password itself, from which PostgreSQL makes one.
    func verifier() -> String {
        guard isRandom else { return password }
        let salt = (0..<16).map { _ in UInt8.random(in: 0...255) }
        // RFC 5802, section 3, with one round: SaltedPassword is HMAC(password, salt and INT(1)).
        let salted = Digest.hmacSHA256(salt + [0, 0, 0, 1], key: Array(password.utf8))
        let stored = Digest.sha256(Digest.hmacSHA256("Client Key".utf8, key: salted))
        let server = Digest.hmacSHA256("Server Key".utf8, key: salted)
        return verifierPrefix + base64(salt) + "$" + base64(stored) + ":" + base64(server)
    }

    private func base64(_ bytes: [UInt8]) -> String { Data(bytes).base64EncodedString() }
}
