/// Identifiers that we make.
public enum Identifier {
    /// A UUID of version 7 (RFC 9562): it begins with the time in milliseconds, so that new rows lie side by side in
    /// an index however many there are.
    public static func uuid() -> String {
        var random = Entropy()
        let time = UInt64(Clock.epochMilliseconds())
        let high = time << 16 | 0x7000 | UInt64(UInt16.random(in: 0...0xFFF, using: &random))
        let low = random.next() & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
        return String(unsafeUninitializedCapacity: 36) { text in
            var position = 0
            for digit in 0..<32 {
                if digit == 8 || digit == 12 || digit == 16 || digit == 20 {
                    text[position] = UInt8(ascii: "-")
                    position += 1
                }
                text[position] = hexadecimal(digit < 16 ? high : low, digit % 16)
                position += 1
            }
            return 36
        }
    }

    /// Whether a request id from outside may be used as it is: 1 to 128 of `A–Z a–z 0–9 . _ -`.
    package static func isValidRequestID(_ text: String) -> Bool {
        hasFormOfRequestID(text) && !text.utf8.contains(UInt8(ascii: ":"))
    }

    /// Whether a text may be the request id of an order: 1 to 128 of `A–Z a–z 0–9 . _ : -`, and neither `.` nor `..`,
    /// which are not a segment of their own in the path of a URL.
    package static func isPlatformRequestID(_ text: String) -> Bool {
        hasFormOfRequestID(text) && text != "." && text != ".."
    }

    private static func hasFormOfRequestID(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: ":"), UInt8(ascii: "-"): true
                default: byte.isASCIILetter || byte.isASCIIDigit
                }
            }
    }

    /// A new trace of W3C trace context, sampled.
    static func traceparent() -> String {
        var random = Entropy()
        let words = [random.next() | 1, random.next(), random.next() | 1]
        return String(unsafeUninitializedCapacity: 55) { text in
            text[0] = UInt8(ascii: "0")
            text[1] = UInt8(ascii: "0")
            var position = 2
            for (index, word) in words.enumerated() {
                if index != 1 {
                    text[position] = UInt8(ascii: "-")
                    position += 1
                }
                for digit in 0..<16 {
                    text[position] = hexadecimal(word, digit)
                    position += 1
                }
            }
            text[position] = UInt8(ascii: "-")
            text[position + 1] = UInt8(ascii: "0")
            text[position + 2] = UInt8(ascii: "1")
            return position + 3
        }
    }

    /// Version 00 of the W3C header, neither id all zeros.
    package static func isTraceparent(_ text: String) -> Bool {
        let parts = text.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
        guard parts.map(\.count) == [2, 32, 16, 2], parts[0].elementsEqual("00".utf8) else { return false }
        func isHexadecimal(_ byte: UInt8) -> Bool {
            byte.isASCIIDigit || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
        }
        return parts.allSatisfy { $0.allSatisfy(isHexadecimal) }
            && parts[1...2].allSatisfy { $0.contains { $0 != UInt8(ascii: "0") } }
    }

    /// The digit at a place, counted from the most significant of 16.
    private static func hexadecimal(_ word: UInt64, _ place: Int) -> UInt8 {
        let digit = UInt8(truncatingIfNeeded: word >> UInt64(60 - 4 * place)) & 15
        return digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
    }
}

extension HTTPEvent {
    /// The request id of an order in the path: 1 to 128 of `A–Z a–z 0–9 . _ : -`, neither `.` nor `..`.
    /// - Throws: 400 for anything else.
    public func platformRequestID() throws(Problem) -> String {
        let id = try path("request_id")
        guard Identifier.isPlatformRequestID(id) else {
            throw .badRequest([
                .init(
                    pointer: "/path/request_id",
                    detail: "request_id must have 1 to 128 of the characters A–Z a–z 0–9 . _ : - "
                        + "and be neither “.” nor “..”.")
            ])
        }
        return id
    }
}
