/// A route as functions.yml writes it, such as `POST /club/{id}/subscribe/`.
struct RouteTemplate: Sendable, Equatable {
    enum Segment: Sendable, Equatable {
        case literal(String)
        case parameter(String)
    }

    let method: String
    let segments: [Segment]
    /// The route key of API Gateway's payload 2.0: the template as written.
    let key: String

    /// `nil` when the text is not a method, a space and a path that begins with `/`.
    init?(_ key: String) {
        let parts = key.split(separator: " ", omittingEmptySubsequences: true)
        guard parts.count == 2, parts[1].hasPrefix("/") else { return nil }
        method = parts[0].uppercased()
        segments = parts[1].split(separator: "/").map { segment in
            segment.hasPrefix("{") && segment.hasSuffix("}")
                ? .parameter(String(segment.dropFirst().dropLast())) : .literal(String(segment))
        }
        self.key = "\(method) \(parts[1])"
    }

    /// The names of the path parameters.
    var parameters: Set<String> {
        Set(segments.compactMap { if case .parameter(let name) = $0 { name } else { nil } })
    }

    /// The path parameters of a raw request path, still percent-encoded; `nil` when it is not this route's. The path
    /// matches with and without its trailing slash; empty segments elsewhere do not match.
    func match(rawPath: String) -> [(name: String, value: Substring)]? {
        guard rawPath.utf8.first == UInt8(ascii: "/") else { return nil }
        var rest = Substring(rawPath.utf8.dropFirst())
        if rest.utf8.count > 1, rest.utf8.last == UInt8(ascii: "/") { rest = Substring(rest.utf8.dropLast()) }
        var parameters: [(name: String, value: Substring)] = []
        var remaining: Substring? = rest.isEmpty && segments.isEmpty ? nil : rest
        for segment in segments {
            guard let path = remaining else { return nil }
            let part: Substring
            if let slash = path.utf8.firstIndex(of: UInt8(ascii: "/")) {
                part = path[..<slash]
                remaining = path[path.utf8.index(after: slash)...]
            } else {
                part = path
                remaining = nil
            }
            switch segment {
            case .literal(let text): guard part == text else { return nil }
            case .parameter(let name):
                guard !part.isEmpty else { return nil }
                parameters.append((name, part))
            }
        }
        return remaining == nil ? parameters : nil
    }
}
