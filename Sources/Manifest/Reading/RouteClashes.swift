/// Reports every pair of routes that would answer the same request with no rule to choose between them.
func reportClashes(among functions: [FunctionEntry], _ diagnostics: Diagnostics) {
    let routes = functions.flatMap { function in function.routes.map { (function: function.name, route: $0) } }
    for (index, later) in routes.enumerated() {
        for earlier in routes[..<index] where earlier.route.method == later.route.method {
            guard earlier.route.shape.isAmbiguous(with: later.route.shape) else { continue }
            let line = earlier.route.line.map { " (line \($0))" } ?? ""
            diagnostics.report(
                "\(later.route.method) \(later.route.path) clashes with \(earlier.route.method) \(earlier.route.path) "
                    + "of function \"\(earlier.function)\"\(line): a path can match both; change one of them",
                key: "functions.\(later.function)", line: later.route.line)
        }
    }
}
