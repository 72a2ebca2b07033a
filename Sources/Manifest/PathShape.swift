/// What a path template matches: its segments with the names of parameters (and the trailing slash) left out.
struct PathShape: Hashable {
    /// Nil stands for a parameter, which matches any one segment.
    let segments: [String?]

    var isLiteral: Bool { !segments.contains(nil) }
    var literalCount: Int { segments.count { $0 != nil } }

    /// The shape of exactly the paths that both match; nil when there are none.
    func intersection(_ other: PathShape) -> PathShape? {
        guard segments.count == other.segments.count else { return nil }
        var common: [String?] = []
        for (a, b) in zip(segments, other.segments) {
            if let a, let b, a != b { return nil }
            common.append(a ?? b)
        }
        return PathShape(segments: common)
    }

    func contains(_ other: PathShape) -> Bool { intersection(other) == other }

    /// Whether no rule says which of the two answers a path that both match: they are alike, or each has a literal
    /// where the other has a parameter.
    func isAmbiguous(with other: PathShape) -> Bool {
        guard let common = intersection(other) else { return false }
        return self == other || (common != self && common != other)
    }

    /// Whether it is tried before `other`. A shape that lies wholly within another one always is.
    func precedes(_ other: PathShape) -> Bool {
        for (a, b) in zip(segments, other.segments) where a != b {
            guard let a else { return false }
            guard let b else { return true }
            return a < b
        }
        return segments.count < other.segments.count
    }
}

extension PathShape {
    /// `template` must have passed ``problems(in:)``.
    init(_ template: String) {
        segments = template.split(separator: "/").map { $0.hasPrefix("{") ? nil : String($0) }
    }

    /// What keeps `template` from being a path template, one sentence each. The template starts with a slash.
    static func problems(in template: String) -> [String] {
        var problems: [String] = []
        var names: Set<Substring> = []
        if template.contains("//") { problems.append("it has an empty segment") }
        for segment in template.split(separator: "/") {
            if let match = segment.wholeMatch(of: /\{([A-Za-z_][A-Za-z0-9_]*)\}/) {
                if !names.insert(match.1).inserted { problems.append("parameter {\(match.1)} occurs twice") }
            } else if segment.contains("{") || segment.contains("}") {
                problems.append(
                    "\"\(segment)\" is not a parameter: one is a whole segment, {name}, of letters, digits and _")
            } else if segment == "." || segment == ".." {
                problems.append("\"\(segment)\" is resolved before a path is matched, so it never would be")
            } else if segment.wholeMatch(of: /[A-Za-z0-9._~-]+/) == nil {
                problems.append("\"\(segment)\" has a character other than letters, digits and . _ ~ -")
            }
        }
        return problems
    }
}
