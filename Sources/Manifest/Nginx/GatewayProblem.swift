/// One refusal that nginx makes by itself, in the form of RFC 9457.
struct GatewayProblem {
    let status: Int
    /// Last part of its `type`, which is stable.
    let slug: String
    let title: String
    /// Tells the client what to do.
    let detail: String
    /// Seconds.
    var retryAfter: Int?

    /// What the client sent was wrong, or nothing answers there: no function ran.
    static let refusals = [
        GatewayProblem(
            status: 400, slug: "bad-request", title: "Bad request",
            detail: "The request line, a header or the chunks of the body are malformed; "
                + "send valid HTTP/1.1 with one Host header."),
        GatewayProblem(
            status: 404, slug: "not-found", title: "Not found",
            detail: "Nothing answers at this path; check its spelling."),
        GatewayProblem(
            status: 405, slug: "method-not-allowed", title: "Method not allowed",
            detail: "This path does not take this method; use one that the Allow header names."),
        GatewayProblem(
            status: 412, slug: "precondition-failed", title: "Precondition failed",
            detail: "A file is given as it is; leave out If-Match and If-Unmodified-Since."),
        GatewayProblem(
            status: 413, slug: "payload-too-large", title: "Payload too large",
            detail: "The body is over 64 KiB; send a smaller one."),
        GatewayProblem(
            status: 414, slug: "uri-too-long", title: "URI too long",
            detail: "The request line is over 8 KiB; shorten the path or the query."),
        GatewayProblem(
            status: 415, slug: "unsupported-media-type", title: "Unsupported media type",
            detail: "Send the body as application/json."),
        // For a limit_req or limit_conn that an operator adds; there is none here.
        GatewayProblem(
            status: 429, slug: "too-many-requests", title: "Too many requests",
            detail: "Slow down, and send the request again later.", retryAfter: 5),
        GatewayProblem(
            status: 431, slug: "headers-too-large", title: "Request header fields too large",
            detail: "A header is over 8 KiB, or all of them are over 32 KiB; send fewer or shorter ones."),
        GatewayProblem(
            status: 501, slug: "not-implemented", title: "Not implemented",
            detail: "The transfer encoding is unknown; use Content-Length or chunked."),
        GatewayProblem(
            status: 505, slug: "http-version-not-supported", title: "HTTP version not supported",
            detail: "Send HTTP/1.1."),
    ]

    static let crossOrigin = GatewayProblem(
        status: 403, slug: "cross-origin", title: "Cross-origin request",
        detail: "A page of another origin must not do this, and nothing was done; "
            + "send it from a page of this gateway or from a program.")

    static let internalError = GatewayProblem(
        status: 500, slug: "internal-error", title: "Internal error",
        detail: "Something went wrong on our side; quote the request id when you report it.")

    static let unavailable = GatewayProblem(
        status: 503, slug: "unavailable", title: "Service unavailable",
        detail: "The request did not reach its function and nothing was done; send it again shortly.",
        retryAfter: 1)

    static let badGateway = GatewayProblem(
        status: 502, slug: "bad-gateway", title: "Bad gateway",
        detail: "The function stopped while it had the request: it may or may not have been carried out. "
            + "Read the current state before sending it again.")

    static let timeout = GatewayProblem(
        status: 504, slug: "timeout", title: "Gateway timeout",
        detail: "The function did not answer in time: the request may or may not have been carried out. "
            + "Read the current state before sending it again.",
        retryAfter: 5)

    /// The statements that answer with it; nginx puts the request's id in.
    /// - Parameters:
    ///   - reply: the status that `return` gives; 200 where the one that led there stays the answer's.
    ///   - executed: whether the function ran, where that is the question.
    func reply(as reply: Int = 200, executed: String? = nil) -> String {
        let wait = retryAfter.map { "set $retry_after \($0); " } ?? ""
        let tail = executed.map { ",\"executed\":\"\($0)\"" } ?? ""
        return
            "\(wait)return \(reply) '{\"type\":\"/problems/\(slug)\",\"title\":\"\(title)\",\"status\":\(status),\"detail\":\"\(detail)\","
            + "\"instance\":\"urn:request:$rid\"\(tail)}';"
    }
}
