import Crypto
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
        let salted = hmac(Data(password.utf8), Data(salt + [0, 0, 0, 1]))
        let stored = Data(SHA256.hash(data: hmac(salted, Data("Client Key".utf8))))
        let server = hmac(salted, Data("Server Key".utf8))
        return verifierPrefix + Data(salt).base64EncodedString() + "$" + stored.base64EncodedString() + ":"
            + server.base64EncodedString()
    }

    private func hmac(_ key: Data, _ message: Data) -> Data {
        Data(HMAC<SHA256>.authenticationCode(for: message, using: SymmetricKey(data: key)))
    }
}
