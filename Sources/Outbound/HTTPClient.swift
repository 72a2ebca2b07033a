import CCurl
import Glibc
public import Logging
public import Runtime

/// Sends requests to outside systems, over libcurl.
///
/// Every request has a connection of its own: libcurl sends a POST again by itself when a reused connection dies
/// before the answer, and a charge that is sent twice may be made twice. Redirects are not followed, certificates are
/// verified, proxies of the environment are ignored.
///
/// What was certainly not sent is tried again a few times within the deadline; anything else never. A host that cannot
/// be reached, or does not answer in time, several calls in a row is left alone for a while (see `Circuit`). Copies of a
/// client share that knowledge.
public struct HTTPClient: Sendable {
    private let circuits = CircuitBoard()
    private let responseLimit: Int

    /// What came of a request, told apart by what the caller may conclude.
    public enum Outcome: Sendable {
        case answered(Response)
        /// Nothing reached the other side, so it did nothing.
        case notSent(reason: String)
        /// Nothing was sent, and nothing will be for so many seconds: too many calls in a row failed.
        case refused(retryAfter: Int)
        /// The request was sent, wholly or in part, and no whole answer came: the other side may have acted.
        case unknown(reason: String)
    }

    public struct Response: Sendable {
        public let status: Int
        /// In the order they came; a name may come more than once.
        public let headers: [(name: String, value: String)]
        public let body: [UInt8]
        /// Seconds, from a number of them or a date, as far as they are still to come.
        public let retryAfter: Int?
    }

    /// Longest wait for a connection, TLS included.
    public static let connectMilliseconds = 2000
    /// Bytes of the longest answer that a client takes by default.
    public static let responseLimit = 1 << 20

    /// - Parameter responseLimit: bytes; a longer answer is broken off and counts as unknown.
    public init(responseLimit: Int = HTTPClient.responseLimit) {
        self.responseLimit = responseLimit
    }

    /// Sends a POST and waits for its answer until the deadline at the latest.
    /// - Parameters:
    ///   - countsSilence: whether no answer by the deadline is held against the host; not where it has less time than
    ///     it is usually given.
    ///   - logger: is told when the host's circuit changes.
    public func post(
        _ url: String, headers: [(name: String, value: String)], body: [UInt8], deadline: Deadline,
        countsSilence: Bool = true, logger: Logger? = nil
    ) -> Outcome {
        request(
            Exchange(url: url, headers: headers, body: body, responseLimit: responseLimit), deadline: deadline,
            countsSilence: countsSilence, logger: logger)
    }

    /// Sends a GET and waits for its answer until the deadline at the latest.
    public func get(_ url: String, headers: [(name: String, value: String)], deadline: Deadline) -> Outcome {
        request(
            Exchange(url: url, headers: headers, body: nil, responseLimit: responseLimit), deadline: deadline,
            countsSilence: true, logger: nil)
    }

    /// Whether a request to the URL's host would be refused at this moment, because too many in a row failed.
    public func refuses(_ url: String) -> Bool { circuits.refuses(CircuitBoard.host(of: url)) }

    private func request(
        _ exchange: Exchange, deadline: Deadline, countsSilence: Bool, logger: Logger?
    ) -> Outcome {
        guard !deadline.hasPassed else { return .notSent(reason: "no time was left") }
        guard Self.isReady else { return .notSent(reason: "libcurl cannot be used: install libcurl4") }
        let host = CircuitBoard.host(of: exchange.url)
        if case .refused(let seconds) = circuits.admit(host, logger) { return .refused(retryAfter: seconds) }
        var generator = SystemRandomNumberGenerator()
        var tries = 1
        while true {
            let (outcome, finding) = exchange.run(deadline: deadline)
            let pause = RetrySchedule.pauseMilliseconds(after: tries, using: &generator)
            guard case .notSent = outcome, finding == .unreached, tries < RetrySchedule.tries,
                pause < deadline.remainingMilliseconds
            else {
                circuits.note(host, finding == .late && !countsSilence ? .nothing : finding, logger)
                return outcome
            }
            tries += 1
            usleep(UInt32(pause) * 1000)
        }
    }

    /// Loads libcurl, once per process, when the first request is sent.
    private static let isReady = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK
}
