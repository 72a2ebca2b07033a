import Foundation
import Instance

/// The databases of a scope as the rest of the tool sees them: also the embedded ones.
struct ScopeDatabases {
    /// `nil` for TAPROOM_SCOPE, else the default.
    let scope: String?
    /// Whether the instance is meant, when there is one: its scope by default, and in that the databases that it was
    /// started with, whatever named them then. Else the default is `local`, and the configuration is read.
    var followsInstance = false
    /// Instead of `<scope>_config.json`.
    var file: String?

    /// - Returns: a libpq connection URI.
    /// - Throws: an error that names the key and the fix.
    func url(service: String) throws -> String {
        let project = try Project.find()
        let scope = try project.scope(scope, else: (followsInstance ? project.startedScope : nil) ?? "local")
        // An address in the environment needs no configuration file beside it.
        if let given = try project.databaseOverride(service: service) { return given }
        if followsInstance, let started = try project.startedDatabase(service: service, scope: scope) { return started }
        return try project.databaseURL(service: service, scope: scope, file: file)
    }
}
