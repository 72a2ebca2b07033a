/// What the scripted platform does with one request.
///
/// ```swift
/// platform.behave { request in request.ordinal == 0 ? .cutAfterActing : .order }
/// ```
public struct PlatformBehaviour: Sendable {
    public enum Pause: Sendable {
        case none
        case milliseconds(Int)
        /// Until the gate is opened, or the platform ends.
        case until(Gate)
    }

    public enum Reply: Sendable {
        /// 200 with the order, or the conflict that making it came to.
        case order
        case answer(status: Int, body: [UInt8], headers: [(name: String, value: String)])
        /// These bytes in place of an HTTP answer.
        case bytes([UInt8])
        /// The first so many bytes of the order's answer, then the end of the connection.
        case begun(bytes: Int)
        /// The end of the connection, without a byte.
        case nothing
    }

    /// Whether the order is made.
    public var acts = true
    public var before = Pause.none
    /// Between acting and answering.
    public var after = Pause.none
    public var reply = Reply.order

    public init(acts: Bool = true, before: Pause = .none, after: Pause = .none, reply: Reply = .order) {
        self.acts = acts
        self.before = before
        self.after = after
        self.reply = reply
    }

    /// Makes the order, once per request id, and answers with it.
    public static let order = PlatformBehaviour()

    /// Makes no order and answers this.
    public static func answer(
        _ status: Int, _ body: String = "", headers: [(name: String, value: String)] = []
    ) -> PlatformBehaviour {
        PlatformBehaviour(acts: false, reply: .answer(status: status, body: Array(body.utf8), headers: headers))
    }

    /// Makes the order, and says something else of it.
    public static func actAndAnswer(_ status: Int, _ body: String = "") -> PlatformBehaviour {
        PlatformBehaviour(reply: .answer(status: status, body: Array(body.utf8), headers: []))
    }

    public static let cutBeforeActing = PlatformBehaviour(acts: false, reply: .nothing)
    public static let cutAfterActing = PlatformBehaviour(reply: .nothing)
    /// Makes the order; the answer breaks off inside its body.
    public static let cutInReply = PlatformBehaviour(reply: .begun(bytes: 130))
    public static let garbage = PlatformBehaviour(reply: .bytes(Array("\u{1}not HTTP at all\r\n\r\n{".utf8)))
    /// Makes the order and answers 200 with 10 MB of JSON.
    public static let huge = PlatformBehaviour(
        reply: .answer(
            status: 200, body: [UInt8(ascii: "\"")] + [UInt8](repeating: 97, count: 10 << 20) + [UInt8(ascii: "\"")],
            headers: []))

    /// Makes the order, and does not answer until the gate is opened.
    public static func holdAfterActing(_ gate: Gate) -> PlatformBehaviour { PlatformBehaviour(after: .until(gate)) }
    /// Neither acts nor answers until the gate is opened.
    public static func holdBeforeActing(_ gate: Gate) -> PlatformBehaviour { PlatformBehaviour(before: .until(gate)) }
}

/// A request as the scripted platform got it.
public struct PlatformRequest: Sendable {
    /// From 0, in order of arrival.
    public let ordinal: Int
    public let method: String
    /// The path as it was sent.
    public let target: String
    /// The last segment of the path, as it was sent.
    public let requestID: String
    public let headers: HTTPFields
    public let body: [UInt8]

    /// How often this request id has come, this one included.
    public let times: Int
}
