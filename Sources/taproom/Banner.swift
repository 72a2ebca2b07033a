import Foundation
import Instance
import Manifest
import Runtime

/// What to know about an instance that has just come up.
struct Banner {
    let instance: Instance

    var text: String {
        let record = instance.record
        let hasPage = FileManager.default.fileExists(atPath: record.placement.documentPage)
        let tool = CommandLine.arguments[0]
        let databases = TextTable.lines(
            record.databases.sorted { $0.key < $1.key }.map { ["  \($0.key)", withoutPassword($0.value)] })
        return """

            \(instance.manifest.tables(base: record.gateway).joined(separator: "\n"))
            Gateway    \(record.gateway), described at \(record.gateway)\(hasPage ? "/docs/ and " : "")/openapi.yml
            Databases  (with passwords: \(tool) status --json)
            \(databases.joined(separator: "\n"))
            RabbitMQ   \(record.rabbitmq.map(withoutPassword) ?? "")
            Logs       \(record.placement.logs)
            Next       \(tool) demo | status | logs -f | doctor, and make down
            """
    }

    private func withoutPassword(_ url: String) -> String {
        guard var parts = URLComponents(string: url) else { return "(\(url.prefix { $0 != ":" }) URI)" }
        parts.password = nil
        // libpq takes them there too.
        parts.queryItems = parts.queryItems?.filter { !["password", "sslpassword"].contains($0.name) }
        if parts.queryItems?.isEmpty == true { parts.queryItems = nil }
        return parts.string ?? ""
    }
}
