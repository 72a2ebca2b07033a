import Foundation
import TestSupport

extension TemporaryFolder {
    /// One whose name has a space and a percent sign, for both must survive in every configuration.
    static func odd() throws -> TemporaryFolder { try TemporaryFolder(prefix: "taproom %d ") }

    /// Writes a script that can be executed.
    /// - Returns: its path.
    func script(_ name: String, _ text: String) throws -> String {
        try write(name, text)
        let file = "\(path)/\(name)"
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file)
        return file
    }
}
