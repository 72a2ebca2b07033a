import Foundation

/// The API's description, and the page that shows it: copies, so that the gateway's user can read them.
struct Documents {
    /// The folder of the checkout.
    let project: String
    let target: String

    /// Copies what differs. Without Swagger UI, which `scripts/install-python` fetches, the description is served all
    /// the same, and the page is left out with a warning.
    func install(_ progress: Progress) throws {
        try ensureFolder(target, mode: 0o755, owner: nil)
        try copy("\(project)/openapi.yml", to: "\(target)/openapi.yml")
        let interface = "\(project)/.build/swagger-ui"
        guard FileManager.default.fileExists(atPath: interface) else {
            return progress.say(
                "  warning: /docs/ is not served: run scripts/install-python documents, then start again")
        }
        try ensureFolder("\(target)/docs", mode: 0o755, owner: nil)
        for folder in [interface, "\(project)/web/docs"] {
            for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
                try copy("\(folder)/\(name)", to: "\(target)/docs/\(name)")
            }
        }
    }

    private func copy(_ source: String, to target: String) throws {
        guard let data = FileManager.default.contents(atPath: source) else {
            throw InstanceError("\(source) cannot be read: it is part of the checkout")
        }
        if FileManager.default.contents(atPath: target) != data { try writeFile(target, data, mode: 0o644) }
    }
}
