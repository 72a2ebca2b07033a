import Runtime

/// Cuts SQL into statements at the semicolons that end one: not those in quotes, dollar quotes, comments, parentheses
/// or the body of a routine between BEGIN ATOMIC and END. The rules are those of psql.
struct StatementScanner {
    struct Fault: Error {
        let line: Int
        let text: String
    }

    private let bytes: ArraySlice<UInt8>
    private var index: Int
    private var line: Int

    private var statements: [Statement] = []
    /// Where the statement at hand begins; `nil` between two.
    private var start: (index: Int, line: Int)?
    /// Its first words, upper case: as many as tell what kind it is.
    private var words: [String] = []
    private var parentheses = 0
    private var blocks = 0

    /// - Parameters:
    ///   - bytes: SQL in UTF-8.
    ///   - line: the number of its first line in the file.
    init(_ bytes: ArraySlice<UInt8>, line: Int) {
        self.bytes = bytes
        index = bytes.startIndex
        self.line = line
    }

    /// - Throws: for a quote or comment without end, and for a statement that begins or ends a transaction.
    static func statements(in bytes: ArraySlice<UInt8>, line: Int) throws(Fault) -> [Statement] {
        var scanner = StatementScanner(bytes, line: line)
        while scanner.index < bytes.endIndex { try scanner.step() }
        try scanner.endStatement()
        return scanner.statements
    }

    private mutating func step() throws(Fault) {
        switch peek() {
        case UInt8(ascii: "-") where peek(1) == UInt8(ascii: "-"):
            while index < bytes.endIndex, peek() != UInt8(ascii: "\n") { index += 1 }
        case UInt8(ascii: "/") where peek(1) == UInt8(ascii: "*"): try skipComment()
        case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"), UInt8(ascii: "\n"), 0x0B, 0x0C: advance()
        case UInt8(ascii: ";") where parentheses == 0 && blocks == 0:
            try endStatement()
            advance()
        default: try token()
        }
    }

    private mutating func token() throws(Fault) {
        if start == nil { start = (index, line) }
        switch peek() {
        case UInt8(ascii: "'"): try skipQuoted(UInt8(ascii: "'"), escapes: false)
        case UInt8(ascii: "\""): try skipQuoted(UInt8(ascii: "\""), escapes: false)
        case UInt8(ascii: "$"): try skipDollar()
        case UInt8(ascii: "("):
            parentheses += 1
            advance()
        case UInt8(ascii: ")"):
            parentheses = max(0, parentheses - 1)
            advance()
        case let byte? where Self.beginsWord(byte): try word()
        default: advance()
        }
    }

    private mutating func endStatement() throws(Fault) {
        guard let (first, firstLine) = start else { return }
        if Self.isTransactionControl(words) {
            throw Fault(
                line: firstLine,
                text: "\(words[0]) does not belong here: each part runs in one transaction that the tool opens")
        }
        var text = String(decoding: bytes[first..<index], as: UTF8.self)
        while text.last?.isWhitespace == true { text.removeLast() }
        statements.append(Statement(text: text, line: firstLine))
        start = nil
        words = []
        parentheses = 0
        blocks = 0
    }

    private static func isTransactionControl(_ words: [String]) -> Bool {
        guard let first = words.first else { return false }
        return ["BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT"].contains(first)
            || words.starts(with: ["PREPARE", "TRANSACTION"])
    }

    // MARK: Words

    private mutating func word() throws(Fault) {
        let first = index
        while let byte = peek(), Self.continuesWord(byte) { index += 1 }
        let text = String(decoding: bytes[first..<index], as: UTF8.self).uppercased()
        if text == "E", peek() == UInt8(ascii: "'") {
            return try skipQuoted(UInt8(ascii: "'"), escapes: true)
        }
        if words.count < 4 { words.append(text) }
        guard parentheses == 0, createsRoutine else { return }
        switch text {
        case "BEGIN": blocks += 1
        case "CASE" where blocks > 0: blocks += 1
        case "END" where blocks > 0: blocks -= 1
        default: break
        }
    }

    private var createsRoutine: Bool {
        let rest = words.starts(with: ["CREATE", "OR", "REPLACE"]) ? words.dropFirst(3) : words.dropFirst()
        return words.first == "CREATE" && ["FUNCTION", "PROCEDURE"].contains(rest.first)
    }

    private static func beginsWord(_ byte: UInt8) -> Bool {
        byte.isASCIILetter || byte == UInt8(ascii: "_") || byte >= 0x80
    }

    private static func continuesWord(_ byte: UInt8) -> Bool {
        beginsWord(byte) || byte == UInt8(ascii: "$") || byte.isASCIIDigit
    }

    // MARK: Quotes and comments

    private func peek(_ offset: Int = 0) -> UInt8? {
        index + offset < bytes.endIndex ? bytes[index + offset] : nil
    }

    private mutating func advance() {
        if peek() == UInt8(ascii: "\n") { line += 1 }
        index += 1
    }

    /// A doubled quote ends one text and begins the next, which comes to the same.
    private mutating func skipQuoted(_ quote: UInt8, escapes: Bool) throws(Fault) {
        let opened = line
        advance()
        while let byte = peek() {
            advance()
            if byte == quote { return }
            if escapes, byte == UInt8(ascii: "\\") { advance() }
        }
        throw Fault(line: opened, text: "the quote \(Character(UnicodeScalar(quote))) is never closed")
    }

    private mutating func skipDollar() throws(Fault) {
        let opened = line
        var end = index + 1
        while end < bytes.endIndex, Self.continuesWord(bytes[end]), bytes[end] != UInt8(ascii: "$") { end += 1 }
        let tag = bytes[index..<min(end + 1, bytes.endIndex)]
        let named = tag.dropFirst().first.map { Self.beginsWord($0) || $0 == UInt8(ascii: "$") } ?? false
        guard named, tag.count > 1, tag.last == UInt8(ascii: "$") else { return advance() }
        index = end + 1
        while index + tag.count <= bytes.endIndex {
            if bytes[index..<index + tag.count] == tag {
                index += tag.count
                return
            }
            advance()
        }
        throw Fault(line: opened, text: "\(String(decoding: tag, as: UTF8.self)) is never closed")
    }

    private mutating func skipComment() throws(Fault) {
        let opened = line
        var depth = 0
        while index < bytes.endIndex {
            if peek() == UInt8(ascii: "/"), peek(1) == UInt8(ascii: "*") {
                depth += 1
                index += 2
            } else if peek() == UInt8(ascii: "*"), peek(1) == UInt8(ascii: "/") {
                depth -= 1
                index += 2
                if depth == 0 { return }
            } else {
                advance()
            }
        }
        throw Fault(line: opened, text: "the comment /* is never closed")
    }
}
