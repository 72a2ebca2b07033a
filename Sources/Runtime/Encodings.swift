import FoundationEssentials

extension UInt8 {
    @inlinable package var isASCIIDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }

    /// Of either case.
    @inlinable package var isASCIILetter: Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self | 0x20) }
}

/// Percent-encoding of RFC 3986, and of HTML forms in the query.
public enum PercentEncoding {
    /// Decodes once; `nil` for a broken escape or for bytes that are not UTF-8.
    package static func decode(_ text: Substring, plusIsSpace: Bool = false) -> String? {
        let percent = UInt8(ascii: "%")
        let plus = UInt8(ascii: "+")
        guard text.utf8.contains(where: { $0 == percent || $0 == plus }) else { return String(text) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        var rest = text.utf8.makeIterator()
        while let byte = rest.next() {
            switch byte {
            case percent:
                guard let high = rest.next().flatMap(hexDigit), let low = rest.next().flatMap(hexDigit) else {
                    return nil
                }
                bytes.append(high << 4 | low)
            case plus where plusIsSpace: bytes.append(UInt8(ascii: " "))
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    /// Encodes everything but the unreserved characters.
    public static func encode(_ text: String) -> String {
        var result: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"): result.append(byte)
            case _ where byte.isASCIILetter || byte.isASCIIDigit: result.append(byte)
            default: result += [UInt8(ascii: "%"), hexDigits[Int(byte >> 4)], hexDigits[Int(byte & 15)]]
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// The bytes with all but ASCII encoded: decoding gives them back, and tells that they are no UTF-8.
    static func ascii(_ bytes: UnsafePointer<UInt8>) -> String {
        var result = ""
        var position = bytes
        while position.pointee != 0 {
            if position.pointee < 0x80 {
                result.unicodeScalars.append(Unicode.Scalar(position.pointee))
            } else {
                result += "%" + String(position.pointee, radix: 16)
            }
            position += 1
        }
        return result
    }

    private static let hexDigits = Array("0123456789ABCDEF".utf8)

    /// The parameters of a query string; a repeated one has its values joined with commas, as in payload 2.0. A value
    /// that cannot be decoded becomes a NUL: every check of a text refuses that, and who reads no query minds none.
    static func query(_ raw: String) -> [String: String] {
        guard !raw.isEmpty else { return [:] }
        var parameters: [String: String] = [:]
        for pair in raw.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = decode(parts[0], plusIsSpace: true) ?? String(parts[0])
            let raw = parts.count > 1 ? parts[1] : ""
            let value = decode(raw, plusIsSpace: true) ?? "\0"
            parameters[name] = parameters[name].map { $0 + "," + value } ?? value
        }
        return parameters
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

/// Bytes as hexadecimal digits in lower case.
package enum Hexadecimal {
    package static func encode(_ bytes: some Sequence<UInt8>) -> String {
        String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    static let digits = Array("0123456789abcdef".utf8)
}

enum Base64 {
    static func encode(_ bytes: [UInt8]) -> String { Data(bytes).base64EncodedString() }
    static func decode(_ text: String) -> [UInt8]? { Data(base64Encoded: text).map(Array.init) }
}
