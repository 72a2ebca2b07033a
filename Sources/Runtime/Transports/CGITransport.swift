import Glibc

/// One request of plain CGI (RFC 3875): variables in the environment, the body on standard input.
struct CGITransport: Transport, ~Copyable {
    private var isDone = false

    mutating func next() -> Request? {
        guard !isDone else { return nil }
        isDone = true
        var request = Request()
        request.take(variables: environ)
        // A server may offer only the decoded path; it has no escapes left to decode then.
        if getenv("REQUEST_URI") == nil {
            let query = getenv("QUERY_STRING").map { "?" + String(cString: $0) } ?? ""
            request.take(uri: (getenv("PATH_INFO").map { String(cString: $0) } ?? "/") + query)
        }
        let announced = request.headers["content-length"]
        let expected = max(0, announced.flatMap { Int($0) } ?? 0)
        request.body = StandardInput.read(limit: min(expected, Request.bodyLimit + 1))
        request.fault = Request.bodyFault(announced: announced, read: request.body.count)
        return request
    }

    mutating func send(_ response: HTTPResponse, withBody: Bool) throws {
        var sending = ResponseSending()
        try sending.send(response, withBody: withBody, write: StandardOutput.write)
    }
}
