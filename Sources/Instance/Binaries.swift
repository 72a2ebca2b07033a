import Foundation
import Glibc

/// The executables that an instance runs: copies, so that a build does not disturb it and other users can reach them.
struct Binaries {
    /// Where the build left them.
    let source: String
    let target: String

    /// What scripts/link-libraries makes beside them: the libraries they load, and what reports crashes.
    static let libraries = "libraries"

    /// Copies what differs, each in one step; a process that runs the old file keeps it until it is restarted.
    /// - Throws: `InstanceError` that names every executable that was not built.
    func install(_ names: [String]) throws {
        var missing = names.filter { !FileManager.default.isExecutableFile(atPath: "\(source)/\($0)") }
        let library = (try? FileManager.default.contentsOfDirectory(atPath: "\(source)/\(Self.libraries)")) ?? []
        if library.isEmpty { missing.append(Self.libraries) }
        guard missing.isEmpty else {
            throw InstanceError("not built: \(missing.joined(separator: ", ")) in \(source); run make build")
        }
        try ensureFolder("\(target)/\(Self.libraries)", mode: 0o755, owner: nil)
        for name in library.map({ "\(Self.libraries)/\($0)" }) + names { try installOne(name) }
    }

    private func installOne(_ name: String) throws {
        let (from, to) = ("\(source)/\(name)", "\(target)/\(name)")
        if FileManager.default.contentsEqual(atPath: from, andPath: to) { return }
        let temporary = "\(to).new.\(getpid())"
        unlink(temporary)
        // After a success there is none of that name.
        defer { unlink(temporary) }
        do {
            try FileManager.default.copyItem(atPath: from, toPath: temporary)
        } catch {
            throw InstanceError("cannot install \(to): \(error.localizedDescription)")
        }
        let isLink = (try? FileManager.default.destinationOfSymbolicLink(atPath: temporary)) != nil
        guard isLink || chmod(temporary, 0o755) == 0, rename(temporary, to) == 0 else {
            throw SystemError("cannot install \(to)")
        }
    }

    /// Whether the user who runs functions can load this executable with all its libraries.
    /// - Throws: `InstanceError` with what is missing.
    func checkLoads(_ name: String, as account: Account?) throws {
        let result = try Subprocess.run(
            [try Subprocess.find("ldd"), "\(target)/\(name)"], as: account,
            environment: ["LD_LIBRARY_PATH": "\(target)/\(Self.libraries)"])
        let missing = result.output.split(separator: "\n").filter { $0.contains("not found") }
        guard result.status == 0, missing.isEmpty else {
            let user = account?.name ?? "you"
            throw InstanceError(
                "\(target)/\(name) cannot be loaded by \(user): "
                    + (missing.map { $0.trimmingCharacters(in: .whitespaces) } + [result.errors]).joined(separator: " ")
                    + "; run scripts/install-packages, then make build")
        }
    }
}
