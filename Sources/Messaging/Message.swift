/// A message with the properties that we write, and those of others that a copy of it must keep.
struct Message: Sendable, Equatable {
    enum Header: Sendable, Equatable {
        case text(String)
        case integer(Int)
        case boolean(Bool)

        /// What a reader of attributes sees.
        var text: String {
            switch self {
            case .text(let value): value
            case .integer(let value): String(value)
            case .boolean(let value): value ? "true" : "false"
            }
        }
    }

    var headers: [String: Header] = [:]
    var messageID: String?
    var contentType: String?
    var contentEncoding: String?
    var correlationID: String?
    var type: String?
    var application: String?
    /// Seconds since 1970.
    var timestamp: UInt64?
    var body: [UInt8]

    /// The same message to be sent again. Headers that the broker made are left out: with its records of former deaths
    /// it would take a message that comes round a second time for a cycle, and drop it.
    func copy() -> Message {
        var copy = self
        copy.headers = headers.filter { !$0.key.hasPrefix("x-") }
        return copy
    }
}

/// A message that a queue gave us and wants settled.
struct Delivery: Sendable {
    let tag: UInt64
    /// It was given to somebody before, who did not settle it.
    let isRedelivered: Bool
    let routingKey: String
    let message: Message

    /// How often it was given out before and came back, as quorum queues count; never raised by a copy of ours.
    var returns: Int {
        guard case .integer(let count) = message.headers["x-delivery-count"] else { return isRedelivered ? 1 : 0 }
        return count
    }
}

/// What the broker says unasked.
enum Incoming {
    case delivery(Delivery)
    /// It took over published messages up to a number, or refuses them.
    case settled(tag: UInt64, multiple: Bool, isTaken: Bool)
    /// No queue is bound to where this message went; its confirmation follows all the same.
    case returned(Message)
    /// The queue we consume from is gone.
    case cancelled
    /// It reads nothing that is published, for want of memory or disk.
    case blocked
    case unblocked
}
