public import Runtime

/// Why an event came to be; it travels with the event, and into the events that follow from it.
public struct EventCause: Sendable, Equatable, Encodable {
    /// W3C trace context of what wrote the event.
    public let traceparent: String?
    /// What everything that follows from one request shares: the first request's id.
    public let correlationID: String?
    /// The request or the event that led to this event directly.
    public let causationID: String?

    private enum CodingKeys: String, CodingKey {
        case traceparent
        case correlationID = "correlation_id"
        case causationID = "causation_id"
    }

    public init(traceparent: String?, correlationID: String?, causationID: String?) {
        self.traceparent = traceparent
        self.correlationID = correlationID
        self.causationID = causationID
    }

    /// The cause of what a request does.
    public init(_ context: Context) {
        self.init(
            traceparent: context.traceparent, correlationID: context.requestID, causationID: context.requestID)
    }

    /// The cause of what is done about an event.
    public init<Payload>(following event: CloudEvent<Payload>, _ context: Context) {
        self.init(
            traceparent: context.traceparent, correlationID: event.cause.correlationID ?? event.id,
            causationID: event.id)
    }
}
