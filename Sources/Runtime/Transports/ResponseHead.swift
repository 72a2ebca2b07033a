/// The head of a CGI answer (RFC 3875, section 6).
enum ResponseHead {
    static func bytes(_ response: HTTPResponse) -> [UInt8] {
        var head: [UInt8] = []
        head.reserveCapacity(192)
        head.append(contentsOf: "Status: ".utf8)
        head.append(contentsOf: String(response.status).utf8)
        head.append(UInt8(ascii: " "))
        head.append(contentsOf: reason(response.status).utf8)
        head.append(contentsOf: "\r\n".utf8)
        for (name, value) in response.headers { append(name, value, to: &head) }
        if case .bytes(let body) = response.body { append("Content-Length", String(body.count), to: &head) }
        head.append(contentsOf: "\r\n".utf8)
        return head
    }

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

    /// No value can end its line and begin another header.
    private static func append(_ name: String, _ value: String, to head: inout [UInt8]) {
        head.append(contentsOf: name.utf8)
        head.append(contentsOf: ": ".utf8)
        var value = value
        value.withUTF8 { utf8 in
            if utf8.contains(where: { $0 == 13 || $0 == 10 }) {
                head.append(contentsOf: utf8.lazy.filter { $0 != 13 && $0 != 10 })
            } else {
                head.append(contentsOf: utf8)
            }
        }
        head.append(contentsOf: "\r\n".utf8)
    }
}

/// Sends a response through `write`, which takes bytes or throws: the head with the first bytes of the body. Without the
/// body, a streamed one is begun all the same and stopped at its first bytes: what fails before them is known then.
struct ResponseSending {
    private(set) var hasBegun = false

    mutating func send(
        _ response: HTTPResponse, withBody: Bool, write: @escaping (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let head = ResponseHead.bytes(response)
        switch response.body {
        case .bytes(let body):
            hasBegun = true
            try head.withUnsafeBytes(write)
            if withBody { try body.withUnsafeBytes(write) }
        case .stream(let produce):
            let writer = StreamWriter(head: head, withBody: withBody, write: write)
            do {
                let outcome = Result { try produce(writer) }
                if !writer.isStopped { try outcome.get() }
                try writer.begin()
                hasBegun = true
            } catch {
                hasBegun = writer.hasBegun
                throw writer.hasBegun && !(error is ClientGone) ? BrokenStream(cause: error) : error
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
