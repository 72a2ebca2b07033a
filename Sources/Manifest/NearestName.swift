/// The candidate with the fewest edits from `name`, upper and lower case alike; the first of several. Nil when there
/// are none.
func nearest(to name: String, in candidates: [String]) -> String? {
    let wanted = Array(name.lowercased())
    return candidates.min { edits(wanted, Array($0.lowercased())) < edits(wanted, Array($1.lowercased())) }
}

/// Levenshtein distance.
private func edits(_ a: [Character], _ b: [Character]) -> Int {
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, y) in b.enumerated() {
            let substituted = diagonal + (x == y ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(substituted, row[j] + 1, row[j + 1] + 1)
        }
    }
    return row[b.count]
}
