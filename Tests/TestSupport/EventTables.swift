import Foundation

/// The tables for events, which the migrations of every service that publishes or consumes make alike.
public enum EventTables {
    /// The services whose migrations make them, each with the statements.
    public static func scripts() throws -> [String: String] {
        let folder = Repository.root + "/migrations"
        var scripts: [String: String] = [:]
        for service in try FileManager.default.contentsOfDirectory(atPath: folder) {
            for file in try FileManager.default.contentsOfDirectory(atPath: "\(folder)/\(service)") {
                let text = try String(contentsOfFile: "\(folder)/\(service)/\(file)", encoding: .utf8)
                guard let first = text.range(of: "CREATE TABLE outbox ("),
                    let last = text.range(of: "ON inbox USING brin (received_at);")
                else { continue }
                scripts[service] = String(text[first.lowerBound..<last.upperBound])
            }
        }
        return scripts
    }
}
