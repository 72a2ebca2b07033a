import Foundation

/// The tables for events, which the migrations of every service that publishes or consumes make alike.
public enum EventTables {
    /// The services whose migrations make them, each with the statements, those of later revisions too.
    public static func scripts() throws -> [String: String] {
        let folder = Repository.root + "/migrations"
        var scripts: [String: String] = [:]
        for service in try FileManager.default.contentsOfDirectory(atPath: folder) {
            let texts = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/\(service)").map {
                try String(contentsOfFile: "\(folder)/\(service)/\($0)", encoding: .utf8)
            }
            let parts = [
                ("CREATE TABLE outbox (", "ON inbox USING brin (received_at);"),
                ("CREATE INDEX outbox_unroutable", "ON inbox (received_at);"),
            ].compactMap { first, last in texts.lazy.compactMap { part(of: $0, from: first, through: last) }.first }
            if !parts.isEmpty { scripts[service] = parts.joined(separator: "\n") }
        }
        return scripts
    }

    private static func part(of text: String, from first: String, through last: String) -> String? {
        guard let begin = text.range(of: first),
            let end = text.range(of: last, range: begin.upperBound..<text.endIndex)
        else { return nil }
        return String(text[begin.lowerBound..<end.upperBound])
    }
}
