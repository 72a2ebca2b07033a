/// Tables that a revision keeps writers from are locked together when it begins, in the order in which the revisions
/// create them. A foreign key leads to a table that was there before, so writers take them in this order too.
extension MigrationFolder {
    /// The tables of earlier revisions that a step's statements lock against writers, in that order.
    func lockedTables(_ step: Step) -> [String] {
        let locked = Set(step.statements.compactMap(\.lockedTable))
        let earlier = revisions.prefix { $0.id != step.revision.id }
        return earlier.flatMap(\.up).compactMap(\.createdTable).filter(locked.contains)
    }
}

extension Statement {
    /// Its beginning as keywords and names, without quotes.
    private var words: [String] {
        text.prefix(400).lowercased().split { !($0.isLetter || $0.isNumber || $0 == "_") }.map(String.init)
    }

    fileprivate var createdTable: String? {
        words.starts(with: ["create", "table"]) ? words.dropFirst(2).first { !Self.between.contains($0) } : nil
    }

    /// The table whose triggers, indexes or columns it changes.
    fileprivate var lockedTable: String? {
        let words = words
        let name: ArraySlice<String>
        if words.starts(with: ["alter", "table"]) {
            name = words.dropFirst(2)
        } else if ["create", "drop"].contains(words.first),
            !Set(words.prefix(4)).isDisjoint(with: ["trigger", "index"])
        {
            name = words.drop { $0 != "on" }.dropFirst()
        } else {
            return nil
        }
        return name.first { !Self.between.contains($0) }
    }

    private static let between: Set = ["if", "not", "exists", "only"]
}
