/// Positions on the line of revisions: 0 is base, n is the n-th revision.
extension MigrationFolder {
    /// Where a target is: `head`, `heads`, `base`, `current`, a revision or unique prefix, each with `+n` or `-n`
    /// behind it, or a bare `+n` or `-n`, which counts from `current`.
    /// - Parameter current: the database's position; `nil` when no database is asked, and then `current` is unknown
    ///   and bare steps count from base.
    func position(of target: String, from current: Int?) throws(MigrationError) -> Int {
        guard let sign = target.lastIndex(where: { $0 == "+" || $0 == "-" }) else {
            return try position(named: target, current: current)
        }
        let digits = target[target.index(after: sign)...]
        guard !digits.isEmpty, digits.allSatisfy({ $0.isASCII && $0.isNumber }) else {
            throw .unknown(revision: target)
        }
        let symbol = String(target[..<sign])
        let start = symbol.isEmpty ? current ?? 0 : try position(named: symbol, current: current)
        let steps = Int(digits).flatMap { $0 <= revisions.count ? $0 : nil }
        let end = steps.map { target[sign] == "+" ? start + $0 : start - $0 } ?? -1
        guard (0...revisions.count).contains(end) else {
            throw .invalidTarget("Relative revision \(target) didn't produce \(digits) migrations")
        }
        return end
    }

    private func position(named name: String, current: Int?) throws(MigrationError) -> Int {
        switch name {
        case "head", "heads": return revisions.count
        case "base": return 0
        case "current":
            guard let current else { throw .invalidTarget("'current' needs a database to ask") }
            return current
        default: break
        }
        if let index = revisions.firstIndex(where: { $0.id == name }) { return index + 1 }
        let matches = name.isEmpty ? [] : revisions.indices.filter { revisions[$0].id.hasPrefix(name) }
        guard matches.count < 2 else {
            let ids = matches.map { "'\(revisions[$0].id)'" }.joined(separator: ", ")
            throw .invalidTarget("Multiple revisions start with '\(name)': \(ids)")
        }
        guard let index = matches.first else { throw .unknown(revision: name) }
        return index + 1
    }

    func id(at position: Int) -> String? { position == 0 ? nil : revisions[position - 1].id }

    /// The revisions up to and with `id`; all of them for one that the folder does not have.
    func applied(at id: String?) -> ArraySlice<Revision> {
        guard let id else { return [] }
        return revisions[..<(revisions.firstIndex { $0.id == id }.map { $0 + 1 } ?? revisions.count)]
    }

    /// The end of an upgrade: the start itself when the target is not ahead of it.
    func upgradeEnd(_ target: String, from start: Int) throws(MigrationError) -> Int {
        let end = try position(of: target, from: start)
        if end < start, target.hasPrefix("-") {
            throw .invalidTarget("Relative revision \(target) didn't produce \(start - end) migrations")
        }
        return max(start, end)
    }

    func downgradeEnd(_ target: String, from start: Int) throws(MigrationError) -> Int {
        let end = try position(of: target, from: start)
        guard end <= start else {
            throw .invalidTarget("Destination \(target) is not a valid downgrade target from current head(s)")
        }
        return end
    }

    /// Splits `[start]:[end]`.
    static func range(_ text: String) -> (start: String, end: String)? {
        guard let colon = text.firstIndex(of: ":") else { return nil }
        return (String(text[..<colon]), String(text[text.index(after: colon)...]))
    }

    /// The revisions of `history -r [start]:[end]`, oldest first; the start is one of them. A bare `-n` as start counts
    /// from the end, a bare `+n` as end from the start.
    /// - Parameter current: what `current` and bare steps mean; `nil` when the range needs no database.
    public func revisions(in range: String, current: String?) throws(MigrationError) -> ArraySlice<Revision> {
        guard let (start, end) = Self.range(range) else {
            throw .invalidTarget("History range requires [start]:[end], [start]:, or :[end]")
        }
        let here = try current.map { id throws(MigrationError) in try position(of: id, from: nil) }
        let first: Int
        let last: Int
        if start.hasPrefix("-") {
            last = end.isEmpty ? revisions.count : try position(of: end, from: here)
            first = try position(of: start, from: last)
        } else {
            first = start.isEmpty ? 0 : try position(of: start, from: here)
            last = end.isEmpty ? revisions.count : try position(of: end, from: end.hasPrefix("+") ? first : here)
        }
        guard first <= last else {
            throw .invalidTarget(
                "Requested range \(range) does not refer to ancestor/descendant revisions along the same branch")
        }
        return revisions[max(first - 1, 0)..<last]
    }
}
