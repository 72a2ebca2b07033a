import Foundation
import Glibc

extension ConfigurationFile {
    /// Adds what a file from before some service, or from before the broker, cannot have: the keys of the embedded one,
    /// with random secrets. The file keeps its mode and every value that it has; a service or broker of which it says
    /// anything is left as it is. Two processes that do this at once write one secret.
    /// - Returns: the paths of the added keys, in order.
    ///   Empty for a file that cannot be read or is not a JSON object: whoever reads it says so.
    static func addMissing(_ file: String, services: [String]) throws -> [String] {
        let path = Placement.resolve(file)
        let folder = open((path as NSString).deletingLastPathComponent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw SystemError("cannot open the folder of \(path)") }
        defer { close(folder) }
        while flock(folder, LOCK_EX) != 0 {
            guard errno == EINTR else { throw SystemError("cannot lock the folder of \(path)") }
        }
        guard let data = FileManager.default.contents(atPath: path),
            var root = (try? JSONSerialization.jsonObject(with: data)) as? [String: Any]
        else { return [] }
        var added: [String] = []
        for service in services { added += add(service, in: "databases", key: service, to: &root) }
        added += add("rabbitmq", in: "rabbitmq", key: "url", to: &root)
        guard !added.isEmpty else { return [] }
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        let mode = (attributes[.posixPermissions] as? NSNumber)?.uint32Value ?? 0o600
        let temporary = "\(path).completed.\(getpid())"
        try writeFile(temporary, text(root), mode: mode_t(mode))
        defer { unlink(temporary) }
        var status = stat()
        guard stat(path, &status) == 0, chown(temporary, status.st_uid, status.st_gid) == 0 || geteuid() != 0,
            rename(temporary, path) == 0
        else { throw SystemError("cannot write \(path)") }
        synchronizeFolder(of: path)
        return added.sorted()
    }

    /// Adds the address and the password of one part, unless the file has either.
    private static func add(_ part: String, in section: String, key: String, to root: inout [String: Any]) -> [String] {
        let isMapping = [section, "embedded_passwords"].allSatisfy { root[$0] == nil || root[$0] is [String: Any] }
        var addresses = root[section] as? [String: Any] ?? [:]
        var passwords = root["embedded_passwords"] as? [String: Any] ?? [:]
        guard isMapping, addresses[key] == nil, passwords[part] == nil else { return [] }
        addresses[key] = ""
        passwords[part] = randomSecret()
        root[section] = addresses
        root["embedded_passwords"] = passwords
        return ["\(section).\(key)", "embedded_passwords.\(part)"]
    }
}
