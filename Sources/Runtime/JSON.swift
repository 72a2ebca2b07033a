import FoundationEssentials

/// JSON as the whole product writes and reads it.
public enum JSON {
    /// Members in alphabetical order, slashes not escaped.
    /// - Parameter isPretty: whether each member and element has a line of its own; no newline follows the last.
    /// - Throws: what `value` throws when it is encoded.
    public static func encode(_ value: some Encodable, isPretty: Bool = false) throws -> [UInt8] {
        Array(try encoder(isPretty: isPretty).encode(value))
    }

    /// As `encode`, for where a text is needed.
    public static func text(_ value: some Encodable, isPretty: Bool = false) throws -> String {
        String(decoding: try encoder(isPretty: isPretty).encode(value), as: UTF8.self)
    }

    private static func encoder(isPretty: Bool) -> JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        if isPretty { encoder.outputFormatting.insert(.prettyPrinted) }
        return encoder
    }

    /// It takes more than JSON, such as a comma before a closing bracket: check input from outside with ``JSONSyntax``
    /// first.
    /// - Throws: a `DecodingError` for what is not a value of that type; ``DecodingFault`` puts it into words.
    public static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
        try JSONDecoder().decode(type, from: Data(bytes))
    }

    /// The text as a JSON string, quotes included.
    public static func quote(_ text: String) -> String {
        var bytes: [UInt8] = []
        append(quoted: text, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// - Parameter limit: bytes, about; a longer text is cut and ends with an ellipsis.
    static func append(quoted text: String, to bytes: inout [UInt8], limit: Int = .max) {
        bytes.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { utf8 in
            if utf8.count <= limit, !utf8.contains(where: mustEscape) { return bytes.append(contentsOf: utf8) }
            let start = bytes.count
            for byte in utf8 {
                if bytes.count - start >= limit, byte & 0xC0 != 0x80 { return bytes.append(contentsOf: "…".utf8) }
                append(byte, to: &bytes)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private static func mustEscape(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    private static func append(_ byte: UInt8, to bytes: inout [UInt8]) {
        guard mustEscape(byte) else { return bytes.append(byte) }
        bytes.append(UInt8(ascii: "\\"))
        if byte >= 0x20 { return bytes.append(byte) }
        bytes.append(contentsOf: "u00".utf8)
        bytes.append(Hexadecimal.digits[Int(byte >> 4)])
        bytes.append(Hexadecimal.digits[Int(byte & 15)])
    }
}
