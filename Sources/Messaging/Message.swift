/// A message with the properties that we write, and those of others that a copy of it must keep.
struct Message: Sendable, Equatable {
    enum Header: Sendable, Equatable {
        case text(String)
        /// A text that is not UTF-8.
        case bytes([UInt8])
        case integer(Int)
        case boolean(Bool)

        /// What a reader of attributes sees; what is not UTF-8 shows as U+FFFD.
        var text: String {
            switch self {
            case .text(let value): value
            case .bytes(let value): String(decoding: value, as: UTF8.self)
            case .integer(let value): String(value)
            case .boolean(let value): value ? "true" : "false"
            }
        }

        /// In bytes, at most.
        fileprivate var size: Int {
            switch self {
            case .text(let value): value.utf8.count
            case .bytes(let value): value.count
            case .integer, .boolean: 8
            }
        }
    }

    /// What the broker says of a message that it made a dead letter.
    struct Death: Equatable {
        /// The routing key under which it was in its queue before.
        let routingKey: String?
        /// Such as `expired`.
        let reason: String?
    }

    var headers: [String: Header] = [:]
    /// In place of one that is not UTF-8, its digest.
    var messageID: String?
    var contentType: String?
    var contentEncoding: String?
    var correlationID: String?
    var type: String?
    var application: String?
    /// Seconds since 1970.
    var timestamp: UInt64?
    /// How the broker last made it a dead letter.
    var death: Death?
    var body: [UInt8]

    /// The same message to be sent again. Headers that the broker made are left out: with its records of former deaths
    /// it would take a message that comes round a second time for a cycle, and drop it.
    func copy() -> Message {
        var copy = self
        copy.headers = headers.filter { !$0.key.hasPrefix("x-") }
        return copy
    }

    /// Without what cannot be sent: names and properties over 255 bytes, and the largest of the headers that are
    /// together too large for the one frame that holds them. Texts of others that were no UTF-8 have grown since they
    /// came, and a copy says more than its original did.
    /// - Parameter frameLimit: the longest frame, in bytes.
    func fitting(frameLimit: Int) -> Message {
        var message = self
        for property in Self.properties where (message[keyPath: property]?.utf8.count ?? 0) > 255 {
            message[keyPath: property] = nil
        }
        message.headers = headers.filter { $0.key.utf8.count <= 255 }
        // A frame needs less than this beside texts, also when the broker has added two records of deaths: one of a retry
        // queue and one of the work queue.
        let properties = Self.properties.reduce(3000) { $0 + (message[keyPath: $1]?.utf8.count ?? 0) }
        func size(_ header: (key: String, value: Header)) -> Int { 6 + header.key.utf8.count + header.value.size }
        var excess = message.headers.reduce(properties - frameLimit) { $0 + size($1) }
        for header in message.headers.sorted(by: { size($0) > size($1) }) where excess > 0 {
            message.headers[header.key] = nil
            excess -= size(header)
        }
        return message
    }

    private static var properties: [WritableKeyPath<Message, String?>] {
        [\.messageID, \.contentType, \.contentEncoding, \.correlationID, \.type, \.application]
    }
}

/// A message that a queue gave us and wants settled.
struct Delivery: Sendable {
    let tag: UInt64
    /// It was given to somebody before, who did not settle it.
    let isRedelivered: Bool
    let routingKey: String
    let message: Message

    /// How often it was given out before and came back, as quorum queues count; never raised by a copy of ours, nor by
    /// what a sender wrote there.
    var returns: Int {
        guard isRedelivered else { return 0 }
        guard case .integer(let count) = message.headers["x-delivery-count"] else { return 1 }
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
