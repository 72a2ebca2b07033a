import Foundation

/// The tables for events, which the migrations of every service that publishes or consumes make alike.
public enum EventTables {
    /// The services whose migrations make them, each with the statements.
    public static func scripts() throws -> [String: String] {
        let root = URL(fileURLWithPath: #filePath).pathComponents.dropLast(3).joined(separator: "/").dropFirst()
        var scripts: [String: String] = [:]
        for service in try FileManager.default.contentsOfDirectory(atPath: "\(root)/migrations") {
            for file in try FileManager.default.contentsOfDirectory(atPath: "\(root)/migrations/\(service)") {
                let text = try String(contentsOfFile: "\(root)/migrations/\(service)/\(file)", encoding: .utf8)
                guard let first = text.range(of: "CREATE TABLE outbox ("),
                    let last = text.range(of: "ON inbox USING brin (received_at);")
                else { continue }
                scripts[service] = String(text[first.lowerBound..<last.upperBound])
            }
        }
        return scripts
    }
}
