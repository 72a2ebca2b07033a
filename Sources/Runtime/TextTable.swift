/// Rows of texts as lines of aligned columns.
package enum TextTable {
    /// Two spaces between columns, each as wide as its longest text; no space at the end of a line.
    /// - Precondition: every row has as many texts as the first.
    package static func lines(_ rows: [[String]]) -> [String] {
        guard let first = rows.first else { return [] }
        let widths = first.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
            var line = cells.joined(separator: "  ")[...]
            while line.last == " " { line.removeLast() }
            return String(line)
        }
    }
}
