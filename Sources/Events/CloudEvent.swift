/// An event as a consumer gets it: CloudEvents 1.0 with the extensions that every event of ours carries.
public struct CloudEvent<Payload: Sendable>: Sendable {
    /// What makes it the same event when it comes again: opaque, 1 to 128 characters.
    public let id: String
    /// Such as `order.completed`; the routing key it was published under.
    public let type: String
    /// The service that published it, such as `/taproom/customers`; empty when the sender said nothing.
    public let source: String
    /// The id of the thing it is about; `nil` when the sender said nothing.
    public let subject: String?
    /// RFC 3339; when it happened, as the sender says.
    public let time: String?
    /// Its place among the events of its subject, from 1; `nil` when the sender does not count.
    public let sequence: Int?
    public let cause: EventCause
    public let data: Payload

    public init(
        id: String, type: String, source: String = "", subject: String? = nil, time: String? = nil,
        sequence: Int? = nil, cause: EventCause, data: Payload
    ) {
        self.id = id
        self.type = type
        self.source = source
        self.subject = subject
        self.time = time
        self.sequence = sequence
        self.cause = cause
        self.data = data
    }
}
