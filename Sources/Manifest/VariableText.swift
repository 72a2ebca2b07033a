/// Text with Serverless variables in it: `http://${param:host}/x`.
struct VariableText {
    enum Piece: Equatable {
        case text(String)
        /// `${param:NAME}`
        case parameter(String)
        /// Any other `${…}`, as written: another source (`env:`, `self:`), a default value, or no closing brace.
        case unsupported(String)
    }

    let pieces: [Piece]

    init(_ value: String) {
        var pieces: [Piece] = []
        var rest = value[...]
        while let start = rest.firstRange(of: "${") {
            if start.lowerBound > rest.startIndex { pieces.append(.text(String(rest[..<start.lowerBound]))) }
            guard let end = rest[start.upperBound...].firstIndex(of: "}") else {
                pieces.append(.unsupported(String(rest[start.lowerBound...])))
                rest = ""
                break
            }
            if let match = rest[start.upperBound..<end].wholeMatch(of: /param:([A-Za-z0-9_.-]+)/) {
                pieces.append(.parameter(String(match.1)))
            } else {
                pieces.append(.unsupported(String(rest[start.lowerBound...end])))
            }
            rest = rest[rest.index(after: end)...]
        }
        if !rest.isEmpty { pieces.append(.text(String(rest))) }
        self.pieces = pieces
    }
}
