import Glibc

/// A request as a transport read it, before it is matched with a route.
struct Request {
    var method = "GET"
    /// As it was sent; in a target that is not UTF-8, bytes that are not ASCII are percent-encoded.
    var rawPath = "/"
    /// Likewise, without the question mark.
    var rawQuery = ""
    var `protocol` = "HTTP/1.1"
    var sourceIP = ""
    /// By lower-case name.
    var headers: [String: String] = [:]
    /// When the gateway got it; 0 when it did not say.
    var startedEpochMilliseconds = 0
    var body: [UInt8] = []
    /// What is wrong with the request itself, such as a body that ended too soon.
    var fault: Problem?
    /// The whole event, when it came as one.
    var event: HTTPEvent?
    /// Whether nobody waits for the answer any more.
    var isAbandoned: () -> Bool = { false }

    /// Of the header, else of the event's context: the first that is valid.
    var requestID: String? {
        if let id = headers["x-request-id"], Identifier.isValidRequestID(id) { return id }
        guard let id = event?.requestContext.requestID, Identifier.isValidRequestID(id) else { return nil }
        return id
    }

    /// How long it waited before a worker took it. A gateway whose clock is ahead of ours makes it 0.
    var waitedMilliseconds: Int {
        startedEpochMilliseconds == 0 ? 0 : max(0, Clock.epochMilliseconds() - startedEpochMilliseconds)
    }

    /// Takes path and query.
    mutating func take(uri: String) {
        guard let mark = uri.utf8.firstIndex(of: UInt8(ascii: "?")) else { return rawPath = uri }
        rawPath = String(uri[..<mark])
        rawQuery = String(uri[uri.utf8.index(after: mark)...])
    }

    /// Takes CGI variables (RFC 3875), and the gateway's own REQUEST_START in seconds with a fraction.
    /// - Parameter variables: texts `NAME=value`; a null pointer ends them.
    mutating func take(variables: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) {
        var entry = variables
        while let text = entry.pointee {
            if let equals = strchr(text, Int32(UInt8(ascii: "="))) {
                let bytes = UnsafeRawPointer(text).assumingMemoryBound(to: UInt8.self)
                let length = text.distance(to: equals)
                take(variable: UnsafeBufferPointer(start: bytes, count: length), value: bytes + length + 1)
            }
            entry += 1
        }
    }

    /// Takes one of them; a NUL ends its value.
    mutating func take(variable name: UnsafeBufferPointer<UInt8>, value: UnsafePointer<UInt8>) {
        func text() -> String { String(decodingCString: value, as: UTF8.self) }
        switch name {
        case "REQUEST_METHOD": method = text()
        case "REQUEST_URI":
            let uri = String.decodeCString(value, as: UTF8.self, repairingInvalidCodeUnits: false)?.result
            take(uri: uri ?? PercentEncoding.ascii(value))
        case "SERVER_PROTOCOL": `protocol` = text()
        case "REMOTE_ADDR": sourceIP = text()
        case "CONTENT_TYPE": if value.pointee != 0 { headers["content-type"] = text() }
        case "CONTENT_LENGTH": if value.pointee != 0 { headers["content-length"] = text() }
        // nginx sends the first two beside the variables above, with the same values. The third is not a header: gateways
        // blank it, for programs that would take it for their proxy.
        case "HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "HTTP_PROXY": break
        case "REQUEST_START": startedEpochMilliseconds = Self.milliseconds(value)
        default:
            guard name.count > 5, name[0] == UInt8(ascii: "H"), name[4] == UInt8(ascii: "_"),
                UnsafeBufferPointer(rebasing: name[..<5]) ~= "HTTP_"
            else { return }
            let header = String(unsafeUninitializedCapacity: name.count - 5) { header in
                for (index, byte) in name[5...].enumerated() {
                    header[index] =
                        byte == UInt8(ascii: "_")
                        ? UInt8(ascii: "-") : (65...90).contains(byte) ? byte | 0x20 : byte
                }
                return name.count - 5
            }
            headers[header] = headers[header].map { "\($0),\(text())" } ?? text()
        }
    }

    /// nginx's `$msec`: seconds with three decimals. 0 for anything else.
    private static func milliseconds(_ text: UnsafePointer<UInt8>) -> Int {
        var result = 0
        var position = text
        while position.pointee != 0 {
            let digit = Int(position.pointee) - 48
            position += 1
            if digit == -2 { continue }
            guard (0...9).contains(digit), result < 1 << 50 else { return 0 }
            result = result * 10 + digit
        }
        return result
    }

    /// What to say of a body whose length is not what the header promised, or over the limit.
    /// - Parameter isCut: whether it ended before the gateway said so.
    static func bodyFault(announced: String?, read: Int, isCut: Bool = false) -> Problem? {
        if read > bodyLimit {
            return Problem(
                "payload-too-large", status: 413, title: "Payload too large",
                detail: "The body is over \(bodyLimit) bytes.")
        }
        guard let promised = isCut ? "more" : announced, Int(promised) != read else { return nil }
        return Problem(
            "bad-request", status: 400, title: "Bad request",
            detail: "The body has \(read) bytes, Content-Length says \(promised). Nothing was done: send it again.")
    }

    /// Bytes; the contract's limit for every body.
    static let bodyLimit = 65_536
}

/// Compares the bytes of a variable's name with a literal, without making a String of it.
private func ~= (pattern: StaticString, bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    bytes.count == pattern.utf8CodeUnitCount
        && bytes.elementsEqual(UnsafeBufferPointer(start: pattern.utf8Start, count: pattern.utf8CodeUnitCount))
}

private func ~= (bytes: UnsafeBufferPointer<UInt8>, pattern: StaticString) -> Bool { pattern ~= bytes }
