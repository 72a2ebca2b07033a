/// Reports every pair of routes that would answer the same request with no rule to choose between them.
func reportClashes(among functions: [FunctionEntry], _ diagnostics: Diagnostics) {
    let routes = functions.flatMap { function in function.routes.map { (function: function, route: $0) } }
    for (function, route) in routes where isKeptForDocuments(route.shape) {
        diagnostics.report(
            "\(route.path) is where the gateway serves the API's description; choose another path",
            key: function.key, line: route.line)
    }
    for (function, route) in routes where Manifest.internalPaths.map(PathShape.init).contains(route.shape) {
        diagnostics.report(
            "\(route.path) is where the gateway makes its own errors; choose another path",
            key: function.key, line: route.line)
    }
    for (index, later) in routes.enumerated() {
        for earlier in routes[..<index] where earlier.route.method == later.route.method {
            guard earlier.route.shape.isAmbiguous(with: later.route.shape) else { continue }
            let line = earlier.route.line.map { " (line \($0))" } ?? ""
            diagnostics.report(
                "\(later.route.method) \(later.route.path) clashes with \(earlier.route.method) \(earlier.route.path) "
                    + "of function \"\(earlier.function.name)\"\(line): a path can match both; change one of them",
                key: later.function.key, line: later.route.line)
        }
    }
}

/// Whether only paths match that the gateway answers from files, see ``Deployment/documentsFolder``.
private func isKeptForDocuments(_ shape: PathShape) -> Bool {
    shape.segments == ["openapi.yml"] || shape.segments.first == "docs"
}
