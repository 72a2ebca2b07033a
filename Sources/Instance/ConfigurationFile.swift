import Foundation
import Glibc
import Runtime

/// The first configuration of an embedded instance: the model with random secrets in it.
enum ConfigurationFile {
    private static let secrets: Set<String> = ["ecommerce.api_key", "ecommerce.api_secret"]

    /// Writes a copy of `model` to `file`, mode 0600, every empty secret and password filled with 32 random
    /// hexadecimal digits. A file that is there, or appears meanwhile, stays as it is.
    /// - Returns: whether this call wrote it.
    @discardableResult
    static func writeIfMissing(_ file: String, model: String) throws -> Bool {
        guard !FileManager.default.fileExists(atPath: file) else { return false }
        let data = try Data(contentsOf: URL(fileURLWithPath: model))
        guard let root = try JSONSerialization.jsonObject(with: data) as? [String: Any] else {
            throw ConfigurationError(file: model, problems: ["must hold one JSON object"])
        }
        let temporary = "\(file).\(getpid())"
        try writeFile(temporary, text(fill(root)), mode: 0o600)
        defer { unlink(temporary) }
        // link(2) refuses when the name is taken, so of two first starts at once one wins and both read the same.
        if link(temporary, file) != 0 {
            guard errno == EEXIST else { throw SystemError("cannot write \(file)") }
            return false
        }
        synchronizeFolder(of: file)
        return true
    }

    /// The whole file of these members.
    static func text(_ members: [String: Any]) throws -> Data {
        try JSONSerialization.data(
            withJSONObject: members, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
            + Data("\n".utf8)
    }

    private static func fill(_ members: [String: Any], prefix: String = "") -> [String: Any] {
        var members = members
        for (name, value) in members {
            let path = prefix + name
            if let inner = value as? [String: Any] {
                members[name] = fill(inner, prefix: path + ".")
            } else if value as? String == "", secrets.contains(path) || path.hasPrefix("embedded_passwords.") {
                members[name] = randomSecret()
            }
        }
        return members
    }
}

/// 128 bits from the operating system, in hexadecimal digits.
func randomSecret() -> String {
    var generator = SystemRandomNumberGenerator()
    return Hexadecimal.encode((0..<16).map { _ in .random(in: 0...255, using: &generator) })
}
