/// How requests reach a worker and answers leave it: the one seam between the invocation loop and FastCGI, CGI or a
/// file. A worker has one transport of its own and uses it from its own thread only.
protocol Transport: ~Copyable {
    /// Waits for the next request; `nil` when the process is to stop or there is no more.
    mutating func next() -> Request?

    /// Answers the request that `next` gave, once, and ends the exchange; after an error that left nothing sent it may
    /// be called once more.
    /// - Throws: `ClientGone`; `BrokenResponse` when a streamed body failed after its first byte and the connection was
    ///   broken off; the body's own error when nothing had been sent.
    mutating func send(_ response: HTTPResponse, withBody: Bool) throws
}

/// A streamed body failed in the middle.
struct BrokenResponse: Error {
    let cause: any Error
}
