import CRabbitMQ
import Glibc
import Runtime

/// One connection with the broker and one channel on it, owned by one thread; librabbitmq lets no other touch it.
///
/// It closes when it goes, and with every error: after one, `isOpen` is false and every call throws. There are no
/// heartbeats, which librabbitmq answers only inside its calls: the kernel finds a broker that has gone, by keepalive
/// probes and TCP_USER_TIMEOUT. Every wait ends at the deadline it was given, but for the search for the address of a host
/// name, which is the resolver's.
final class Session {
    let place: String
    var connection: amqp_connection_state_t?
    /// Texts and tables that a call hands to librabbitmq live here until the next call.
    let scratch = Scratch()
    /// Why the broker reads nothing that is published; `nil` when it does.
    var blockedReason: String? {
        // The kernel would take a broker that does not read for one that has gone.
        didSet { set(Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, blockedReason == nil ? Self.userTimeoutMilliseconds : 0) }
    }

    static let channel: amqp_channel_t = 1
    private static let userTimeoutMilliseconds: Int32 = 15_000

    /// - Parameters:
    ///   - name: shown in the broker's list of connections.
    ///   - isReader: whether it takes longer frames than were agreed on. A broker sends such when it has added to the
    ///     headers of a message that fill a frame. A reader must not publish: it would send as long ones.
    /// - Throws: `unavailable`, and `refused` for a user, password or virtual host that is not known.
    init(
        _ address: BrokerAddress, name: String, isReader: Bool = false, deadline: Deadline
    ) throws(BrokerError) {
        place = address.place
        guard let connection = amqp_new_connection() else {
            throw .unavailable(place: address.place, reason: "librabbitmq has no memory")
        }
        self.connection = connection
        do throws(BrokerError) {
            try open(connection, address, name: name, deadline: deadline)
            // Twice as long holds what it repeats of the headers, too.
            if isReader { amqp_tune_connection(connection, amqp_get_channel_max(connection), Int32(2 * frameLimit), 0) }
        } catch {
            close()
            throw error
        }
    }

    deinit { close() }

    var isOpen: Bool { connection != nil }

    /// Readable when the broker has said something; for poll(2) beside other descriptors.
    var descriptor: Int32 { connection.map { amqp_get_sockfd($0) } ?? -1 }

    /// The longest frame, in bytes, that both sides take.
    var frameLimit: Int { connection.map { Int(amqp_get_frame_max($0)) } ?? 0 }

    /// Whether `next` has something without reading from the socket.
    var hasInput: Bool {
        guard let connection else { return true }
        return amqp_frames_enqueued(connection) != 0 || amqp_data_in_buffer(connection) != 0
    }

    private func open(
        _ connection: amqp_connection_state_t, _ address: BrokerAddress, name: String, deadline: Deadline
    ) throws(BrokerError) {
        var timeout = timeval(deadline)
        guard let socket = amqp_tcp_socket_new(connection) else {
            throw .unavailable(place: place, reason: "librabbitmq has no memory")
        }
        let status = amqp_socket_open_noblock(socket, address.host, Int32(address.port), &timeout)
        guard status == 0 else { throw .unavailable(place: place, reason: Self.text(status)) }
        watch()
        timeout = timeval(deadline)
        amqp_set_handshake_timeout(connection, &timeout)
        var properties = scratch.table([
            ("product", .text("Taproom")), ("connection_name", .text(name)),
            (
                "capabilities",
                .table([
                    ("connection.blocked", .boolean(true)), ("publisher_confirms", .boolean(true)),
                    ("basic.nack", .boolean(true)), ("consumer_cancel_notify", .boolean(true)),
                    ("authentication_failure_close", .boolean(true)),
                ])
            ),
        ])
        let login = taproom_amqp_login(connection, address.virtualHost, &properties, address.user, address.password)
        do throws(BrokerError) {
            try check(login, during: "login")
        } catch .lost(_, let reason) {
            throw .unavailable(place: place, reason: reason)
        }
        try call("opening a channel", deadline: deadline) { amqp_channel_open($0, Self.channel) }
    }

    /// Lets the kernel notice within a minute that nobody is there, and within 15 seconds that nobody takes what we send.
    private func watch() {
        set(SOL_SOCKET, SO_KEEPALIVE, 1)
        set(Int32(IPPROTO_TCP), TCP_KEEPIDLE, 30)
        set(Int32(IPPROTO_TCP), TCP_KEEPINTVL, 5)
        set(Int32(IPPROTO_TCP), TCP_KEEPCNT, 3)
        set(Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, Self.userTimeoutMilliseconds)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }

    private func set(_ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Ends the connection without a word: what is not acknowledged goes back into its queue. The farewell of AMQP would
    /// wait for an answer.
    func close() {
        guard let connection else { return }
        amqp_destroy_connection(connection)
        self.connection = nil
    }

    // MARK: Calls that the broker answers

    /// Makes a call and waits for its answer.
    @discardableResult
    func call<Answer>(
        _ what: String, deadline: Deadline, _ body: (amqp_connection_state_t) -> UnsafeMutablePointer<Answer>?
    ) throws(BrokerError) -> Answer {
        let connection = try opened()
        var timeout = timeval(deadline)
        amqp_set_rpc_timeout(connection, &timeout)
        defer { release() }
        if let answer = body(connection) { return answer.pointee }
        try check(amqp_get_rpc_reply(connection), during: what)
        throw fail(.lost(place: place, reason: "no answer to \(what)"))
    }

    func opened() throws(BrokerError) -> amqp_connection_state_t {
        guard let connection else { throw .lost(place: place, reason: "the session is closed") }
        return connection
    }

    /// Lets librabbitmq use the memory of past frames again; what their pointers pointed at must have been copied.
    func release() {
        scratch.reset()
        if let connection { amqp_maybe_release_buffers(connection) }
    }

    /// Closes the session and gives the error back.
    func fail(_ error: BrokerError) -> BrokerError {
        close()
        return error
    }

    func check(_ reply: amqp_rpc_reply_t, during what: String) throws(BrokerError) {
        switch reply.reply_type {
        case AMQP_RESPONSE_NORMAL: return
        case AMQP_RESPONSE_SERVER_EXCEPTION: throw refusal(reply.reply)
        case AMQP_RESPONSE_LIBRARY_EXCEPTION: throw failure(reply.library_error, during: what)
        default: throw fail(.lost(place: place, reason: "the broker closed it during \(what)"))
        }
    }

    func failure(_ status: Int32, during what: String) -> BrokerError {
        status == AMQP_STATUS_TIMEOUT.rawValue
            ? fail(.timedOut(place: place, waitingFor: what))
            : fail(.lost(place: place, reason: "\(Self.text(status)) during \(what)"))
    }

    /// What the broker said when it closed the channel or the connection.
    func refusal(_ method: amqp_method_t) -> BrokerError {
        var code = 0
        var text = "no reason given"
        if method.id == AMQP_CHANNEL_CLOSE_METHOD {
            let close = method.decoded.assumingMemoryBound(to: amqp_channel_close_t.self).pointee
            (code, text) = (Int(close.reply_code), String(close.reply_text))
        } else if method.id == AMQP_CONNECTION_CLOSE_METHOD {
            let close = method.decoded.assumingMemoryBound(to: amqp_connection_close_t.self).pointee
            (code, text) = (Int(close.reply_code), String(close.reply_text))
        }
        // 320: an operator or a shutdown ended the connection, nothing we did.
        return fail(
            code == 320
                ? .lost(place: place, reason: text) : .refused(place: place, code: code, text: text))
    }

    private static func text(_ status: Int32) -> String { String(cString: amqp_error_string2(status)) }
}

extension timeval {
    /// What is left until a deadline.
    init(_ deadline: Deadline) {
        let milliseconds = deadline.remainingMilliseconds
        self.init(tv_sec: milliseconds / 1000, tv_usec: milliseconds % 1000 * 1000)
    }
}
