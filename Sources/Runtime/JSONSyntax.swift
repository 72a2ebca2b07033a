/// The grammar of JSON (RFC 8259) in UTF-8, nothing beside it.
///
/// The decoder takes more: a comma before a closing bracket, UTF-16, and anything at all in a member that nobody reads.
package struct JSONSyntax {
    private var rest: ArraySlice<UInt8>
    private var depth: Int
    private let limitsNames: Bool

    /// Deeper than any body of ours, and little on a thread's stack.
    static let depthLimit = 64

    /// What RFC 8259 lets a reader overlook at the beginning of a text.
    package static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    /// Where the text stops being JSON, in bytes from 0; `nil` when it is a JSON value as a whole.
    /// - Parameter depth: how many arrays and objects it shall stand in as it is. A byte order mark may stand in none, and
    ///   what nobody decodes here may have names of any length.
    package static func fault(in bytes: [UInt8], atDepth depth: Int = 0) -> Int? {
        let hasMark = depth == 0 && bytes.starts(with: byteOrderMark)
        var syntax = JSONSyntax(
            rest: hasMark ? bytes.dropFirst(byteOrderMark.count) : bytes[...], depth: depth, limitsNames: depth == 0)
        syntax.skipSpace()
        let isWhole = syntax.value()
        syntax.skipSpace()
        guard isWhole, syntax.rest.isEmpty else { return syntax.rest.startIndex }
        return String(validating: bytes, as: UTF8.self) == nil ? firstOutsideUTF8(bytes) : nil
    }

    /// Where the first sequence that is not UTF-8 begins.
    private static func firstOutsideUTF8(_ bytes: [UInt8]) -> Int {
        var place = 0
        var rest = bytes.makeIterator()
        var parser = Unicode.UTF8.ForwardParser()
        while case .valid(let character) = parser.parseScalar(from: &rest) { place += character.count }
        return place
    }

    private mutating func value() -> Bool {
        switch rest.first {
        case UInt8(ascii: "{"): container(end: UInt8(ascii: "}")) { $0.member() }
        case UInt8(ascii: "["): container(end: UInt8(ascii: "]")) { $0.value() }
        case UInt8(ascii: "\""): string()
        case UInt8(ascii: "t"): word("true")
        case UInt8(ascii: "f"): word("false")
        case UInt8(ascii: "n"): word("null")
        default: number()
        }
    }

    private mutating func container(end: UInt8, _ element: (inout JSONSyntax) -> Bool) -> Bool {
        guard depth < Self.depthLimit else { return false }
        depth += 1
        defer { depth -= 1 }
        rest.removeFirst()
        skipSpace()
        if take(end) { return true }
        while true {
            guard element(&self) else { return false }
            skipSpace()
            if take(end) { return true }
            guard take(UInt8(ascii: ",")) else { return false }
            skipSpace()
        }
    }

    /// Bytes of a member's name as it is written. The decoder compares all names of an object as Unicode does, in a time
    /// that grows with the square of a name's combining marks.
    static let nameLimit = 1024

    /// What is said of a text with a fault, as the end of a sentence.
    package static let complaint =
        "is not valid JSON in UTF-8, or nested deeper than \(depthLimit) levels, or names a member in over \(nameLimit) "
        + "bytes"

    private mutating func member() -> Bool {
        let start = rest
        guard rest.first == UInt8(ascii: "\""), string() else { return false }
        guard !limitsNames || rest.startIndex - start.startIndex <= Self.nameLimit + 2 else {
            rest = start
            return false
        }
        skipSpace()
        guard take(UInt8(ascii: ":")) else { return false }
        skipSpace()
        return value()
    }

    private mutating func string() -> Bool {
        rest.removeFirst()
        while let byte = rest.first {
            guard byte >= 0x20 else { return false }
            rest.removeFirst()
            if byte == UInt8(ascii: "\"") { return true }
            if byte == UInt8(ascii: "\\"), !escape() { return false }
        }
        return false
    }

    private mutating func escape() -> Bool {
        switch rest.popFirst() {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return true
        case UInt8(ascii: "u"):
            let digits = rest.prefix(4)
            rest = rest.dropFirst(4)
            return digits.count == 4
                && digits.allSatisfy { byte in
                    byte.isASCIIDigit || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20)
                }
        default: return false
        }
    }

    private mutating func number() -> Bool {
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")), !digits() { return false }
        if take(UInt8(ascii: ".")), !digits() { return false }
        guard take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) else { return true }
        if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
        return digits()
    }

    /// At least one.
    private mutating func digits() -> Bool {
        let count = rest.prefix { $0.isASCIIDigit }.count
        rest = rest.dropFirst(count)
        return count > 0
    }

    private mutating func word(_ word: StaticString) -> Bool {
        guard rest.starts(with: UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)) else {
            return false
        }
        rest = rest.dropFirst(word.utf8CodeUnitCount)
        return true
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard rest.first == byte else { return false }
        rest.removeFirst()
        return true
    }

    private mutating func skipSpace() {
        rest = rest.drop { $0 == 0x20 || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }
    }
}
