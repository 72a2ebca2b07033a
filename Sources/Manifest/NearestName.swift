/// The candidate with the fewest edits from `name`, upper and lower case alike; the first of several. Nil when there
/// are none.
func nearest(to name: String, in candidates: [String]) -> String? {
    let wanted = name.lowercased()
    return candidates.min { editDistance(wanted, $0.lowercased()) < editDistance(wanted, $1.lowercased()) }
}

/// The end of a message about an unknown name: the nearest one, or nothing when there are none.
func nearestHint(to name: String, in candidates: [String]) -> String {
    nearest(to: name, in: candidates).map { "; the nearest is \"\($0)\"" } ?? ""
}

/// How many characters must be inserted, deleted or replaced to make one text the other (Levenshtein).
package func editDistance(_ left: String, _ right: String) -> Int {
    let right = Array(right)
    var row = Array(0...right.count)
    for (i, character) in left.enumerated() {
        var next = [i + 1]
        for j in right.indices {
            next.append(min(row[j + 1] + 1, next[j] + 1, row[j] + (character == right[j] ? 0 : 1)))
        }
        row = next
    }
    return row[right.count]
}
