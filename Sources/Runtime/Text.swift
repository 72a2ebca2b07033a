extension String {
    /// Equal as PostgreSQL tells texts apart, by their bytes: `==` takes canonically equivalent texts, such as the two
    /// spellings of “é”, for one.
    package func hasSameBytes(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }

    /// Without control characters: neither NUL, which PostgreSQL cannot keep, nor a line feed.
    package var isOneLine: Bool { unicodeScalars.allSatisfy { $0.properties.generalCategory != .control } }

    /// Text from outside, fit for a terminal: no control character reaches it.
    package var printable: String {
        String(
            UnicodeScalarView(unicodeScalars.map { $0.properties.generalCategory == .control ? "\u{FFFD}" : $0 }))
    }

    /// Without the white space around it, as Unicode knows it.
    package func trimmingWhitespace() -> String { self[...].trimmingWhitespace() }
}

extension Substring {
    /// Without the white space around it, as Unicode knows it.
    package func trimmingWhitespace() -> String {
        let rest = unicodeScalars.drop { $0.properties.isWhitespace }
        guard let last = rest.lastIndex(where: { !$0.properties.isWhitespace }) else { return "" }
        return String(Substring(rest[...last]))
    }
}
