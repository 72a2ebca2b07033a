import CCurl
import Runtime

/// One request over a connection of its own.
struct Exchange {
    let url: String
    let headers: [(name: String, value: String)]
    /// What is posted; `nil` for a GET.
    let body: [UInt8]?
    /// Bytes.
    let responseLimit: Int

    /// What an exchange tells about the host, whatever it tells about the request.
    enum Finding {
        /// It answered, or at least took the request.
        case reached
        /// It took the request and said nothing in time.
        case late
        /// There was no connection, or no TLS.
        case unreached
        /// The failure is our own, or it had little time.
        case nothing
    }

    func run(deadline: Deadline) -> (outcome: HTTPClient.Outcome, finding: Finding) {
        guard let handle = curl_easy_init() else { return (.notSent(reason: "libcurl has no memory"), .nothing) }
        defer { curl_easy_cleanup(handle) }
        var list: UnsafeMutablePointer<curl_slist>?
        defer { curl_slist_free_all(list) }
        for (name, value) in headers {
            // A header without a value is spelled with a semicolon.
            list = curl_slist_append(list, value.isEmpty ? "\(name);" : "\(name): \(value)")
        }
        // Keeps libcurl from sending one.
        list = curl_slist_append(list, "Expect:")
        let received = Received(limit: responseLimit)
        let total = deadline.remainingMilliseconds
        guard total > 0 else { return (.notSent(reason: "no time was left"), .nothing) }
        setOptions(of: handle, milliseconds: total)
        taproom_curl_set_list(handle, CURLOPT_HTTPHEADER, list)
        return withExtendedLifetime(received) {
            received.take(from: handle)
            guard let body else { return outcome(of: curl_easy_perform(handle), handle, received) }
            taproom_curl_set_long(handle, CURLOPT_POSTFIELDSIZE, body.count)
            return body.withUnsafeBytes { body in
                taproom_curl_set_pointer(
                    handle, CURLOPT_POSTFIELDS, UnsafeMutableRawPointer(mutating: body.baseAddress))
                return outcome(of: curl_easy_perform(handle), handle, received)
            }
        }
    }

    private func setOptions(of handle: UnsafeMutableRawPointer, milliseconds total: Int) {
        for (option, value) in [
            (CURLOPT_NOSIGNAL, 1), (body == nil ? CURLOPT_HTTPGET : CURLOPT_POST, 1), (CURLOPT_FOLLOWLOCATION, 0),
            (CURLOPT_PATH_AS_IS, 1),
            // Bytes to read at once. Answers are short, and every call in flight holds so many: 16 kB by default.
            (CURLOPT_BUFFERSIZE, 4096),
            // libcurl would wait for a name server that says nothing far beyond every time limit.
            (CURLOPT_QUICK_EXIT, 1), (CURLOPT_FRESH_CONNECT, 1), (CURLOPT_FORBID_REUSE, 1), (CURLOPT_TCP_NODELAY, 1),
            (CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1)),
            (CURLOPT_CONNECTTIMEOUT_MS, min(HTTPClient.connectMilliseconds, total)), (CURLOPT_TIMEOUT_MS, total),
        ] as [(CURLoption, Int)] {
            taproom_curl_set_long(handle, option, value)
        }
        for (option, value) in [
            (CURLOPT_URL, url), (CURLOPT_PROXY, ""), (CURLOPT_PROTOCOLS_STR, "http,https"),
        ] as [(CURLoption, String)] {
            taproom_curl_set_string(handle, option, value)
        }
    }

    private func outcome(
        of code: CURLcode, _ handle: UnsafeMutableRawPointer, _ received: Received
    ) -> (HTTPClient.Outcome, Finding) {
        guard code == CURLE_OK else {
            let reason =
                received.isTooLong
                ? "the answer is over \(responseLimit) bytes"
                : Self.hasBegun(handle) ? "the answer was cut short: \(Self.text(code))" : Self.text(code)
            guard Self.wasSent(handle) else { return (.notSent(reason: reason), Self.finding(of: code)) }
            return (.unknown(reason: reason), code == CURLE_OPERATION_TIMEDOUT ? .late : .reached)
        }
        // To libcurl a connection that ends within the head is the end of an answer without a body.
        guard received.isHeadWhole else { return (.unknown(reason: "the answer was cut short: in its head"), .reached) }
        var status = 0
        taproom_curl_get_long(handle, CURLINFO_RESPONSE_CODE, &status)
        var retryAfter: curl_off_t = 0
        taproom_curl_get_time(handle, CURLINFO_RETRY_AFTER, &retryAfter)
        let response = HTTPClient.Response(
            status: status, headers: Self.headers(handle), body: received.bytes,
            retryAfter: retryAfter > 0 ? Int(retryAfter) : nil)
        return (.answered(response), .reached)
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

    /// What a failure before the first byte says of the host.
    private static func finding(of code: CURLcode) -> Finding {
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT, CURLE_SSL_CONNECT_ERROR, CURLE_OPERATION_TIMEDOUT,
            CURLE_PEER_FAILED_VERIFICATION:
            .unreached
        default: .nothing
        }
    }

    /// Only what certainly failed before the first byte of the request counts as not sent. The error code does not say:
    /// an answer that is not HTTP comes as "unsupported protocol", like a URL of an unknown scheme. libcurl notes when a
    /// connection, TLS included, was ready for the request, and how many bytes of it have gone out.
    private static func wasSent(_ handle: UnsafeMutableRawPointer) -> Bool {
        var ready: curl_off_t = 0
        taproom_curl_get_time(handle, CURLINFO_PRETRANSFER_TIME_T, &ready)
        var sent = 0
        taproom_curl_get_long(handle, CURLINFO_REQUEST_SIZE, &sent)
        return ready > 0 || sent > 0
    }

    /// Whether a status line came.
    private static func hasBegun(_ handle: UnsafeMutableRawPointer) -> Bool {
        var status = 0
        taproom_curl_get_long(handle, CURLINFO_RESPONSE_CODE, &status)
        return status != 0
    }

    private static func text(_ code: CURLcode) -> String { String(cString: curl_easy_strerror(code)) }
}

/// An answer while it comes.
private final class Received {
    /// Those of the body.
    private(set) var bytes: [UInt8] = []
    private(set) var isTooLong = false
    /// Whether the empty line came that ends a head.
    private(set) var isHeadWhole = false
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// Has libcurl hand over what comes. The caller keeps this as long as the handle is used.
    func take(from handle: UnsafeMutableRawPointer) {
        let receiver = Unmanaged.passUnretained(self).toOpaque()
        taproom_curl_set_write(handle, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
            guard let bytes, let context else { return 0 }
            return Unmanaged<Received>.fromOpaque(context).takeUnretainedValue().take(bytes, size * count)
        }
        taproom_curl_set_pointer(handle, CURLOPT_WRITEDATA, receiver)
        taproom_curl_set_write(handle, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
            guard let bytes, let context else { return 0 }
            return Unmanaged<Received>.fromOpaque(context).takeUnretainedValue().takeLine(bytes, size * count)
        }
        taproom_curl_set_pointer(handle, CURLOPT_HEADERDATA, receiver)
    }

    /// Takes a line of a head; one that announces another, such as `100 Continue`, comes before it.
    func takeLine(_ line: UnsafePointer<CChar>, _ count: Int) -> Int {
        let text = UnsafeRawBufferPointer(start: line, count: count)
        if text.starts(with: "HTTP/".utf8) { isHeadWhole = false }
        if text.elementsEqual("\r\n".utf8) || text.elementsEqual("\n".utf8) { isHeadWhole = true }
        return count
    }

    /// Takes a piece of the body; returning another number than `count` makes libcurl give up.
    func take(_ piece: UnsafePointer<CChar>, _ count: Int) -> Int {
        guard bytes.count + count <= limit else {
            isTooLong = true
            return 0
        }
        bytes.append(contentsOf: UnsafeRawBufferPointer(start: piece, count: count))
        return count
    }
}
