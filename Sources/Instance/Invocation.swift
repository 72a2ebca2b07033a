import Foundation
import Glibc
import Manifest

/// One run of a function's executable on an event from standard input.
public struct Invocation {
    let command: [String]
    let environment: [String: String]
    /// The command that puts the executable there.
    let remedy: String

    /// Becomes the function: this process goes on as its executable, with the same standard streams.
    /// - Throws: `InstanceError` when it cannot be executed; it does not return otherwise.
    public func replaceProcess() throws {
        var arguments = command.map { strdup($0) } + [nil]
        var variables = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        // What this process ignores, the next would too.
        signal(SIGPIPE, SIG_DFL)
        execve(command[0], &arguments, &variables)
        let reason = SystemError("cannot run \(command[0])")
        for pointer in arguments + variables { free(pointer) }
        throw InstanceError("\(reason); run \(remedy) first")
    }
}

extension Instance {
    /// The invocation of a function as this instance would run it: same executable, environment and user.
    /// - Throws: `InstanceError` for a name that is not in the manifest, or that takes no event; `ManifestError`.
    public func invocation(of name: String) throws -> Invocation {
        let function = try function(named: name)
        if let outbox = function.outbox {
            throw InstanceError(
                "\(name) takes no event: it publishes the outbox of \(outbox.service) for as long as it runs")
        }
        let accounts = try Accounts.current()
        let own = try manifest.environment(of: function, in: deployment(accounts))
        let command = try Subprocess.command(
            ["\(placement.executables)/\(function.executable)", "--event"], as: accounts.server)
        return Invocation(
            command: command, environment: Subprocess.baseEnvironment.merging(own) { _, new in new },
            remedy: record.upCommand)
    }
}
