import Foundation
import Glibc
import Manifest
import TestSupport
import Testing

@testable import Instance

@Suite struct BinariesTests {
    private let built = (TestProject.tool as NSString).deletingLastPathComponent

    @Test func aFunctionLoadsOneLibraryOfSwiftAndFindsAllItNeedsAndLoadsNoClientBeforeItCalls() throws {
        let folder = try TemporaryFolder()
        let manifest = try Manifest.load(from: Repository.root + "/functions.yml")
        let names = Set(manifest.functions.map(\.executable)).sorted()
        try Binaries(source: built, target: folder.path).install(names)
        for name in names {
            // Looks up every symbol, those of calls too, which otherwise are looked up when they are made.
            let loaded = try Subprocess.run(
                [try Subprocess.find("ldd"), "-r", "\(folder.path)/\(name)"],
                environment: ["LD_LIBRARY_PATH": folder.path + "/libraries"])
            #expect(!(loaded.output + loaded.errors).contains(/undefined symbol|not found/), "\(name): \(loaded)")
            let swift = loaded.output.split(separator: "\n").filter { $0.contains("/libswift") }
            #expect(swift.count == 1 && swift[0].contains(folder.path + "/libraries/"), "\(name): \(swift)")
            #expect(!loaded.output.contains(/libpq|libcurl|libssl|libcrypto/), "\(name): \(loaded.output)")
        }
    }

    @Test(arguments: ["libcurl.so.4", "libpq.so.5", "librabbitmq.so.4"])
    func aClientLoadsOnlyWhatForwardsItsCalls(name: String) throws {
        let folder = try TemporaryFolder()
        try Binaries(source: built, target: folder.path).install([])
        let libraries = folder.path + "/libraries"
        let loaded = try Subprocess.run(
            [try Subprocess.find("ldd"), "-r", "\(libraries)/\(name)"], environment: ["LD_LIBRARY_PATH": libraries])
        #expect(!(loaded.output + loaded.errors).contains(/undefined symbol|not found|no version/), "\(loaded)")
        let names = loaded.output.matches(of: /(lib[a-z]\S*) =>/).map { String($0.1) }
        #expect(names == [name.replacing(/\.so.*/, with: "-deferred.so"), "libc.so.6"])
    }

    @Test func whatAFunctionNamesLiesInOneFolder() throws {
        let folder = try TemporaryFolder()
        try Binaries(source: built, target: folder.path).install(["LivezFunction"])
        // The loader looked for it in the first folder alone.
        let looks = try Subprocess.run(
            [folder.path + "/LivezFunction"],
            environment: ["LD_LIBRARY_PATH": folder.path + "/libraries", "LD_DEBUG": "libs"]
        ).errors.split(separator: "\n").filter { $0.contains("trying file=") }
        #expect(looks.contains { $0.hasSuffix("/libraries/libfcgi.so.0") }, "\(looks)")
        #expect(looks.allSatisfy { $0.contains("=\(folder.path)/libraries/") }, "\(looks)")
    }

    @Test func theRuntimeFindsWhatReportsACrash() throws {
        let folder = try TemporaryFolder()
        try Binaries(source: built, target: folder.path).install(["LivezFunction"])
        // Asked for backtraces, it says at its start when there is nothing to make them.
        let run = try Subprocess.run(
            [folder.path + "/LivezFunction"],
            environment: ["LD_LIBRARY_PATH": folder.path + "/libraries", "SWIFT_BACKTRACE": "enable=yes"])
        #expect(run.errors.hasPrefix("function: start me as"), "\(run.errors)")
    }

    @Test func whatWasNotBuiltIsNamed() throws {
        let (source, target) = (try TemporaryFolder(), try TemporaryFolder())
        try source.write("OneFunction", "")
        chmod(source.path + "/OneFunction", 0o755)
        let binaries = Binaries(source: source.path, target: target.path)
        let error = #expect(throws: InstanceError.self) { try binaries.install(["OneFunction", "TwoFunction"]) }
        #expect(error.map { "\($0)" }?.contains("not built: TwoFunction, libraries in \(source.path)") == true)
        #expect(try FileManager.default.contentsOfDirectory(atPath: target.path) == [])
    }

    @Test func aFunctionThatPackageSwiftDoesNotListIsNamedWithTheLine() throws {
        let project = try EventProject()
        let instance = try TestInstance(folder: project.folder, tool: project.tool)
        try project.folder.remove("bin/ProbeFunction")
        for (list, remedy) in [
            (
                #"("Shop/Livez", [])"#,
                #"add ("Shop/Probe", []), with the libraries that it imports, to the functions of Package.swift, run make"#
            ),
            (#"("Shop/Livez", []), ("Shop/Probe", [])"#, "run make build"),
        ] {
            try project.folder.write("Package.swift", "let functions = [\(list)]\n")
            let refused = try instance.run("up").errors
            #expect(refused.contains("not built: ProbeFunction in \(project.folder.path)/bin; \(remedy)"), "\(refused)")
        }
    }

    @Test func aDiskThatExecutesNothingIsNamed() throws {
        let project = try EventProject()
        let state = project.folder.path + "/state"
        mkdir(state, 0o755)
        func onSuchADisk(_ command: String...) throws -> Subprocess {
            try Subprocess.run(
                [
                    "/usr/bin/unshare", "--mount", "/bin/sh", "-c",
                    "mount -t tmpfs -o noexec none \"$0\" && exec \"$@\"", state,
                ] + command,
                environment: [
                    "TAPROOM_STATE": state, "TAPROOM_PORT": "\(Loopback.freePort())",
                    "TAPROOM_CONFIG": project.folder.path + "/config.json",
                ])
        }
        // Root alone may mount one, and not in every container.
        guard try onSuchADisk("/bin/true").status == 0 else { return }
        let refused = try onSuchADisk(project.tool, "up")
        #expect(refused.errors.contains("\(state)/bin is on a disk that is mounted noexec: set TAPROOM_STATE"))
        #expect(refused.status == 1)
    }

    @Test func whatFailsLeavesNothing() throws {
        let (source, target) = (try TemporaryFolder(), try TemporaryFolder())
        try source.write("libraries/libswift.so", "")
        // A folder that holds something cannot be replaced by a file.
        try target.write("libraries/libswift.so/x", "")
        #expect(throws: SystemError.self) { try Binaries(source: source.path, target: target.path).install([]) }
        #expect(throws: SystemError.self) { try writeFile(target.path + "/libraries", Data(), mode: 0o600) }
        #expect(try FileManager.default.subpathsOfDirectory(atPath: target.path).count == 3)
    }

    @Test func whatDiffersIsReplacedAndLinksStayLinks() throws {
        let (source, target) = (try TemporaryFolder(), try TemporaryFolder())
        try FileManager.default.createDirectory(atPath: source.path + "/libraries", withIntermediateDirectories: true)
        let binaries = Binaries(source: source.path, target: target.path)
        for library in ["first", "second"] {
            try source.write("libraries/libswift.so", library)
            if library == "first" { symlink("libswift.so", source.path + "/libraries/libswiftCore.so") }
            try binaries.install([])
            #expect(try String(contentsOfFile: target.path + "/libraries/libswiftCore.so", encoding: .utf8) == library)
        }
        let link = try FileManager.default.destinationOfSymbolicLink(atPath: target.path + "/libraries/libswiftCore.so")
        #expect(link == "libswift.so")
    }
}
