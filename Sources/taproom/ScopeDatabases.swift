import Foundation
import Instance

/// The databases of a scope as the rest of the tool sees them: also the embedded ones.
struct ScopeDatabases: DatabaseLocator {
    /// `nil` for the default of `Project.scope`.
    let scope: String?
    /// Instead of `<scope>_config.json`.
    let file: String?

    func url(service: String) throws -> String {
        let project = try Project.find()
        let scope = try project.scope(scope)
        // An address in the environment needs no configuration file beside it.
        if let given = try project.databaseOverride(service: service) { return given }
        let urls = try project.databaseURLs(scope: scope, file: file)
        guard let url = urls[service] else { throw InstanceError("\(service) has no folder under migrations") }
        return url
    }
}
