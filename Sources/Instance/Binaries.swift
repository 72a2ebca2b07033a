import CLinux
import Foundation
import Glibc

/// The executables that an instance runs: copies, so that a build does not disturb it and other users can reach them.
struct Binaries {
    /// Where the build left them.
    let source: String
    let target: String
    /// Executable to the line that Package.swift's list of functions lacks for it.
    var missingTargets: [String: String] = [:]

    /// What scripts/link-libraries makes beside them: the libraries they load, and what reports crashes.
    static let libraries = "libraries"
    private static let build = "make build, for a debug build make build-tests"

    private var builtLibraries: [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: "\(source)/\(Self.libraries)")) ?? []
    }

    /// - Throws: `InstanceError` that names every executable that was not built, and what keeps it from being.
    func checkBuilt(_ names: [String]) throws {
        var missing = names.filter { !FileManager.default.isExecutableFile(atPath: "\(source)/\($0)") }
        if builtLibraries.isEmpty { missing.append(Self.libraries) }
        guard !missing.isEmpty else { return }
        let lines = missing.compactMap { missingTargets[$0] }.map {
            "add \($0), with the libraries that it imports, to the functions of Package.swift, "
        }
        throw InstanceError(
            "not built: \(missing.joined(separator: ", ")) in \(source); \(lines.joined())run \(Self.build)")
    }

    /// Copies what differs, each in one step; a process that runs the old file keeps it until it is restarted.
    /// - Throws: see ``checkBuilt(_:)``.
    func install(_ names: [String]) throws {
        try checkBuilt(names)
        try ensureFolder("\(target)/\(Self.libraries)", mode: 0o755, owner: nil)
        for name in builtLibraries.map({ "\(Self.libraries)/\($0)" }) + names { try installOne(name) }
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
        var disk = statvfs()
        if statvfs(target, &disk) == 0, disk.f_flag & UInt(ST_NOEXEC) != 0 {
            throw InstanceError(
                "\(target) is on a disk that is mounted noexec: set TAPROOM_STATE to a folder on another")
        }
        let result = try Subprocess.run(
            [try Subprocess.find("ldd"), "\(target)/\(name)"], as: account,
            environment: ["LD_LIBRARY_PATH": "\(target)/\(Self.libraries)"])
        let missing = result.output.split(separator: "\n").filter { $0.contains("not found") }
        guard result.status == 0, missing.isEmpty else {
            let user = account?.name ?? "you"
            throw InstanceError(
                "\(target)/\(name) cannot be loaded by \(user): "
                    + (missing.map { $0.trimmingCharacters(in: .whitespaces) } + [result.errors]).joined(separator: " ")
                    + "; run scripts/install-packages, then \(Self.build)")
        }
    }
}
