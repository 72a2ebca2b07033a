extension Location {
    /// The `location` blocks: one, or for literal paths one for each spelling.
    var blocks: [String] {
        let lines = directives
        return matchers.map { matcher in
            "location \(matcher) {\n\(indented(lines.joined(separator: "\n")))\n}\n"
        }
    }

    private var matchers: [String] {
        guard shape.isLiteral else {
            let segments = shape.segments.map { $0.map { $0.replacing(".", with: "\\.") } ?? "[^/]+" }
            // \z, for $ also matches before a final newline.
            return ["~ \"^/\(segments.joined(separator: "/"))/?\\z\""]
        }
        let path = "/" + shape.segments.compactMap(\.self).joined(separator: "/")
        return path == "/" ? ["= /"] : ["= \(path)", "= \(path)/"]
    }

    private var directives: [String] {
        guard let first = groups.first else { return [] }
        var lines = ["set $function \(first.function.name);"]
        if first.cors { lines.append("set $cors *;") }
        if !corsMethods.isEmpty {
            let allow = quoted(allowedMethods), preflight = quoted(corsMethods)
            lines.append(
                "if ($request_method = OPTIONS) "
                    + "{ set $allow \(allow);\(first.cors ? "" : " set $cors *;") set $preflight \(preflight); "
                    + "return 204; }")
        }
        lines.append(
            "if ($request_method !~ \(pattern(groups.flatMap(\.methods)))) "
                + "{ set $allow \(quoted(allowedMethods)); return 405; }")
        if !guardedMethods.isEmpty {
            lines.append("if ($cross_origin ~ \(pattern(guardedMethods))) { rewrite ^ /_cross_origin last; }")
        }
        for group in groups.dropFirst() {
            let cors = corsMethods.isEmpty ? "" : " set $cors \(group.cors ? "*" : "\"\"");"
            lines.append(
                "if ($request_method ~ \(pattern(group.methods))) "
                    + "{ set $function \(group.function.name);\(cors) fastcgi_pass \(upstreamName(group.function)); }")
        }
        // A last resort behind the deadline that the function keeps by itself. It cannot differ by method.
        let timeout = targets.map(\.function.timeout).max() ?? 0
        lines.append("fastcgi_read_timeout \(timeout + 2)s;")
        lines.append("fastcgi_pass \(upstreamName(first.function));")
        return lines
    }

    /// Targets that differ in nothing but the method, taken together.
    private var groups: [(function: FunctionEntry, cors: Bool, methods: [String])] {
        var groups: [(function: FunctionEntry, cors: Bool, methods: [String])] = []
        for target in targets {
            let methods = Self.withHead([target.method])
            if let index = groups.firstIndex(where: {
                $0.function.name == target.function.name && $0.cors == target.cors
            }) {
                groups[index].methods += methods
            } else {
                groups.append((target.function, target.cors, methods))
            }
        }
        return groups
    }

    private func quoted(_ methods: [String]) -> String { "\"\(methods.joined(separator: ", "))\"" }

    private func pattern(_ methods: [String]) -> String { "^(?:\(methods.joined(separator: "|")))$" }
}

func upstreamName(_ function: FunctionEntry) -> String { "fn_\(function.name)" }
