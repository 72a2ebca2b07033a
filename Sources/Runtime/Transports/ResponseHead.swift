/// The head of a CGI answer (RFC 3875, section 6).
enum ResponseHead {
    /// - Throws: `InvalidResponse` for what the gateway could not pass on as it is.
    static func bytes(_ response: HTTPResponse) throws(InvalidResponse) -> [UInt8] {
        guard (200...599).contains(response.status) else {
            throw InvalidResponse("status \(response.status), which is not from 200 to 599")
        }
        var head: [UInt8] = []
        head.reserveCapacity(192)
        head.append(contentsOf: "Status: ".utf8)
        head.append(contentsOf: String(response.status).utf8)
        head.append(UInt8(ascii: " "))
        head.append(contentsOf: reason(response.status).utf8)
        head.append(contentsOf: "\r\n".utf8)
        for (name, value) in response.headers { try append(name, value, to: &head) }
        if case .bytes(let body) = response.body {
            if !isWithoutBody(response.status) {
                try append("Content-Length", String(body.count), to: &head)
            } else if !body.isEmpty {
                throw InvalidResponse("a body of \(body.count) bytes, though status \(response.status) has none")
            }
        }
        head.append(contentsOf: "\r\n".utf8)
        guard head.count <= limit else { throw InvalidResponse("a head of \(head.count) bytes; \(limit) are the most") }
        return head
    }

    /// Bytes: the gateway's buffer of 8 KiB has to hold the head and what FastCGI puts around it.
    static let limit = 8000

    /// Of the final statuses these have no body, and no length of one (RFC 9110, section 8.6).
    static func isWithoutBody(_ status: Int) -> Bool { status == 204 || status == 304 }

    /// nginx writes the status line as it gets it, so the phrase is ours to give.
    private static func reason(_ status: Int) -> String {
        switch status {
        case 200: "OK"
        case 201: "Created"
        case 204: "No Content"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 402: "Payment Required"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 409: "Conflict"
        case 412: "Precondition Failed"
        case 413: "Content Too Large"
        case 415: "Unsupported Media Type"
        case 422: "Unprocessable Content"
        case 500: "Internal Server Error"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        default: status < 400 ? "Success" : "Error"
        }
    }

    /// Nothing that could end its line and begin another header, or that nginx refuses.
    private static func append(_ name: String, _ value: String, to head: inout [UInt8]) throws(InvalidResponse) {
        guard !name.isEmpty, name.utf8.allSatisfy(isTokenByte) else {
            throw InvalidResponse("the header name \(name.debugDescription), which is not a token")
        }
        guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
            throw InvalidResponse("a control character in the header \(name)")
        }
        head.append(contentsOf: name.utf8)
        head.append(contentsOf: ": ".utf8)
        head.append(contentsOf: value.utf8)
        head.append(contentsOf: "\r\n".utf8)
    }

    /// RFC 9110, section 5.6.2.
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        byte.isASCIILetter || byte.isASCIIDigit || "-!#$%&'*+.^_`|~".utf8.contains(byte)
    }
}

/// A handler answered what HTTP, or the gateway, has no form for.
struct InvalidResponse: Error, CustomStringConvertible {
    let description: String

    init(_ what: String) { description = "the function's answer has \(what)" }
}

/// Sends a response through `write`, which takes bytes or throws: the head with the first bytes of the body. Without the
/// body, a streamed one is begun all the same and stopped at its first bytes: what fails before them is known then.
struct ResponseSending {
    private(set) var hasBegun = false

    mutating func send(
        _ response: HTTPResponse, withBody: Bool, write: @escaping (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let head = try ResponseHead.bytes(response)
        switch response.body {
        case .bytes(let body):
            hasBegun = true
            try head.withUnsafeBytes(write)
            if withBody { try body.withUnsafeBytes(write) }
        case .stream(let produce):
            let writer = StreamWriter(
                head: head, withBody: withBody && !ResponseHead.isWithoutBody(response.status), write: write)
            do {
                let outcome = Result { try produce(writer) }
                if !writer.isStopped { try outcome.get() }
                try writer.begin()
                hasBegun = true
            } catch {
                hasBegun = writer.hasBegun
                throw writer.hasBegun && !(error is ClientGone) ? BrokenResponse(cause: error) : error
            }
        }
    }
}

/// Puts the head before the first piece of a streamed body.
private final class StreamWriter: BodyWriter {
    private let head: [UInt8]
    private let withBody: Bool
    private let sink: (UnsafeRawBufferPointer) throws -> Void
    private(set) var hasBegun = false
    /// Whether the body has shown that it comes, and nobody wants it. What its producer throws afterwards says no more.
    private(set) var isStopped = false

    init(head: [UInt8], withBody: Bool, write: @escaping (UnsafeRawBufferPointer) throws -> Void) {
        self.head = head
        self.withBody = withBody
        sink = write
    }

    func begin() throws {
        guard !hasBegun else { return }
        hasBegun = true
        try head.withUnsafeBytes(sink)
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        guard withBody else {
            isStopped = true
            throw ClientGone()
        }
        try begin()
        try sink(bytes)
    }
}
