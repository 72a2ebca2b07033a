extension Manifest {
    /// Every path once per function that answers it, as a table of aligned columns with a heading; `base` is the
    /// gateway's URL without a trailing slash. Ends with a newline.
    public func routesTable(base: String) -> String {
        var rows = [["METHODS", "URL", "FUNCTION", "DESCRIPTION"]]
        for function in functions {
            var paths: [String] = []
            for route in function.routes where !paths.contains(route.path) { paths.append(route.path) }
            for path in paths {
                let methods = function.routes.filter { $0.path == path }.map(\.method).joined(separator: ",")
                let summary = function.description?.split(whereSeparator: \.isNewline).first
                rows.append([methods, base + path, function.name, summary.map(String.init) ?? ""])
            }
        }
        let widths = (0..<4).map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let line = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }.joined(
                separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed()) + "\n"
        }.joined()
    }
}
