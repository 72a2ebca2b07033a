internal import CCurl
import Glibc
public import Runtime

/// Sends requests to outside systems, over libcurl.
///
/// Every request has a connection of its own: libcurl sends a POST again by itself when a reused connection dies
/// before the answer, and a charge that is sent twice may be made twice. Redirects are not followed, certificates are
/// verified, proxies of the environment are ignored.
public struct HTTPClient: Sendable {
    /// What came of a request, told apart by what the caller may conclude.
    public enum Outcome: Sendable {
        case answered(Answer)
        /// Nothing reached the other side, so it did nothing.
        case notSent(reason: String)
        /// The request was sent, wholly or in part, and no whole answer came: the other side may have acted.
        case unknown(reason: String)
    }

    public struct Answer: Sendable {
        public let status: Int
        /// In the order they came; a name may come more than once.
        public let headers: [(name: String, value: String)]
        public let body: [UInt8]
        /// Seconds, when the answer names a whole number of them.
        public let retryAfter: Int?
    }

    /// Longest wait for a connection, TLS included.
    public static let connectMilliseconds = 2000
    /// Bytes; a longer answer is broken off and counts as unknown.
    public static let answerLimit = 1 << 20

    public init() { Self.initialise }

    /// Sends a POST and waits for its answer until the deadline at the latest.
    public func post(
        _ url: String, headers: [(name: String, value: String)], body: [UInt8], deadline: Deadline
    ) -> Outcome {
        send(url, headers: headers, body: body, deadline: deadline)
    }

    /// Sends a GET and waits for its answer until the deadline at the latest.
    public func get(_ url: String, headers: [(name: String, value: String)], deadline: Deadline) -> Outcome {
        send(url, headers: headers, body: nil, deadline: deadline)
    }

    /// - Parameter body: what is posted; `nil` for a GET.
    private func send(
        _ url: String, headers: [(name: String, value: String)], body: [UInt8]?, deadline: Deadline
    ) -> Outcome {
        guard let handle = curl_easy_init() else { return .notSent(reason: "libcurl has no memory") }
        defer { curl_easy_cleanup(handle) }
        var list: UnsafeMutablePointer<curl_slist>?
        defer { curl_slist_free_all(list) }
        for (name, value) in headers + [("Expect", "")] {
            // A header without a value is spelled with a semicolon; "Expect:" keeps libcurl from sending one.
            list = curl_slist_append(
                list, name == "Expect" ? "Expect:" : value.isEmpty ? "\(name);" : "\(name): \(value)")
        }
        let received = Received()
        let total = deadline.remainingMilliseconds
        guard total > 0 else { return .notSent(reason: "no time was left") }

        for (option, value) in [
            (CURLOPT_NOSIGNAL, 1), (body == nil ? CURLOPT_HTTPGET : CURLOPT_POST, 1), (CURLOPT_FOLLOWLOCATION, 0),
            (CURLOPT_PATH_AS_IS, 1),
            (CURLOPT_FRESH_CONNECT, 1), (CURLOPT_FORBID_REUSE, 1), (CURLOPT_TCP_NODELAY, 1),
            (CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1)),
            (CURLOPT_CONNECTTIMEOUT_MS, min(Self.connectMilliseconds, total)), (CURLOPT_TIMEOUT_MS, total),
        ] as [(CURLoption, Int)] {
            taproom_curl_set_long(handle, option, value)
        }
        for (option, value) in [
            (CURLOPT_URL, url), (CURLOPT_PROXY, ""), (CURLOPT_PROTOCOLS_STR, "http,https"),
        ] as [(CURLoption, String)] {
            taproom_curl_set_string(handle, option, value)
        }
        taproom_curl_set_list(handle, CURLOPT_HTTPHEADER, list)
        let receiver = Unmanaged.passUnretained(received).toOpaque()
        taproom_curl_set_write(handle, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
            guard let bytes, let context else { return 0 }
            return Unmanaged<Received>.fromOpaque(context).takeUnretainedValue().take(bytes, size * count)
        }
        taproom_curl_set_pointer(handle, CURLOPT_WRITEDATA, receiver)
        return withExtendedLifetime(received) {
            guard let body else { return outcome(of: curl_easy_perform(handle), handle, received) }
            taproom_curl_set_long(handle, CURLOPT_POSTFIELDSIZE, body.count)
            return body.withUnsafeBytes { body in
                taproom_curl_set_pointer(
                    handle, CURLOPT_POSTFIELDS, UnsafeMutableRawPointer(mutating: body.baseAddress))
                return outcome(of: curl_easy_perform(handle), handle, received)
            }
        }
    }

    private func outcome(of code: CURLcode, _ handle: UnsafeMutableRawPointer, _ received: Received) -> Outcome {
        guard code == CURLE_OK else {
            let reason = received.isTooLong ? "the answer is over \(Self.answerLimit) bytes" : Self.text(code)
            return Self.wasSent(handle) ? .unknown(reason: reason) : .notSent(reason: reason)
        }
        var status = 0
        taproom_curl_get_long(handle, CURLINFO_RESPONSE_CODE, &status)
        var retryAfter: curl_off_t = 0
        taproom_curl_get_time(handle, CURLINFO_RETRY_AFTER, &retryAfter)
        return .answered(
            Answer(
                status: status, headers: Self.headers(handle), body: received.bytes,
                retryAfter: retryAfter > 0 ? Int(retryAfter) : nil))
    }

    private static func headers(_ handle: UnsafeMutableRawPointer) -> [(name: String, value: String)] {
        var headers: [(name: String, value: String)] = []
        var header: UnsafeMutablePointer<curl_header>?
        while true {
            header = curl_easy_nextheader(handle, UInt32(CURLH_HEADER), -1, header)
            guard let field = header?.pointee else { return headers }
            headers.append((String(cString: field.name), String(cString: field.value)))
        }
    }

    /// Only what certainly failed before the first byte of the request counts as not sent. The error code does not say:
    /// an answer that is no HTTP comes as "unsupported protocol", like a URL of an unknown scheme. libcurl notes when a
    /// connection, TLS included, was ready for the request, and how many bytes of it have gone out.
    private static func wasSent(_ handle: UnsafeMutableRawPointer) -> Bool {
        var ready: curl_off_t = 0
        taproom_curl_get_time(handle, CURLINFO_PRETRANSFER_TIME_T, &ready)
        var sent = 0
        taproom_curl_get_long(handle, CURLINFO_REQUEST_SIZE, &sent)
        return ready > 0 || sent > 0
    }

    private static func text(_ code: CURLcode) -> String { String(cString: curl_easy_strerror(code)) }

    /// Once per process, before any thread uses libcurl.
    private static let initialise: Void = {
        curl_global_init(Int(CURL_GLOBAL_DEFAULT))
    }()
}

/// The body of an answer while it comes.
private final class Received {
    private(set) var bytes: [UInt8] = []
    private(set) var isTooLong = false

    /// Takes a piece; returning another number than `count` makes libcurl give up.
    func take(_ piece: UnsafePointer<CChar>, _ count: Int) -> Int {
        guard bytes.count + count <= HTTPClient.answerLimit else {
            isTooLong = true
            return 0
        }
        bytes.append(contentsOf: UnsafeRawBufferPointer(start: piece, count: count))
        return count
    }
}
