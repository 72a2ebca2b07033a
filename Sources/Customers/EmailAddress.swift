import Runtime

/// An email address that the web's own rule for an email field takes (WHATWG HTML, "valid e-mail address"), kept as it
/// was given.
public struct EmailAddress: Sendable, Equatable {
    public let text: String

    /// As PostgreSQL keeps it; RFC 5321 allows no more on its way.
    static let limit = 254

    /// What a text must be, as the end of "email must be …".
    static let expectation = "an email address such as barley@example.com, of at most \(limit) characters"

    /// - Parameter text: ASCII white space around it is left out, as a browser does.
    /// - Returns: `nil` when the rest is not such an address.
    public init?(_ text: String) {
        let bytes = Self.trimmed(text)
        guard bytes.count <= Self.limit, let at = bytes.firstIndex(of: UInt8(ascii: "@")) else { return nil }
        let local = bytes[..<at]
        let labels = bytes[(at + 1)...].split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard !local.isEmpty, local.allSatisfy(Self.isLocal), labels.allSatisfy(Self.isLabel) else { return nil }
        self.text = String(decoding: bytes, as: UTF8.self)
    }

    /// One that was checked when it was recorded.
    init(recorded text: String) { self.text = text }

    /// Equal for two addresses that differ in nothing but case.
    public var key: String { Self.key(text) }

    /// The key of any text: it is nobody's when the text is not an email address.
    static func key(_ text: String) -> String {
        String(decoding: trimmed(text).map { isCapital($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
    }

    private static func trimmed(_ text: String) -> [UInt8] {
        func isSpace(_ byte: UInt8) -> Bool { [0x20, 0x09, 0x0A, 0x0C, 0x0D].contains(byte) }
        var bytes = Array(text.utf8.drop(while: isSpace))
        while let last = bytes.last, isSpace(last) { bytes.removeLast() }
        return bytes
    }

    private static func isLocal(_ byte: UInt8) -> Bool {
        isAlphanumeric(byte) || ".!#$%&'*+/=?^_`{|}~-".utf8.contains(byte)
    }

    /// A DNS label: letters, digits and, inside, hyphens.
    private static func isLabel(_ label: ArraySlice<UInt8>) -> Bool {
        guard let first = label.first, let last = label.last, label.count <= 63 else { return false }
        return isAlphanumeric(first) && isAlphanumeric(last)
            && label.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
    }

    private static func isCapital(_ byte: UInt8) -> Bool { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool { byte.isASCIILetter || byte.isASCIIDigit }
}
