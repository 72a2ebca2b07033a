public import Logging

/// What a handler may know of its invocation beside the event. A value, small, and no way to reach services.
public struct Context: Sendable {
    /// The name in functions.yml.
    public let functionName: String
    /// 1 to 128 of `A–Z a–z 0–9 . _ -`; taken from the caller when it is such, else made.
    public let requestID: String
    /// W3C trace context, version 00; taken from the caller when well-formed, else made.
    public let traceparent: String
    /// When the caller stops waiting. Every wait of the handler must end by then.
    public let deadline: Deadline
    /// The address of the caller; empty when the transport knows none.
    public let caller: String
    private let stop: @Sendable () -> Bool

    /// Whether the process is to end. A scheduled function then begins nothing more, and finishes what it has begun; no
    /// other function is told.
    public var isStopping: Bool { stop() }

    /// A logger whose lines carry the request id.
    public var logger: Logger {
        var logger = Logger(label: functionName) { _ in JSONLogHandler() }
        logger[metadataKey: "function"] = .string(functionName)
        logger[metadataKey: "request_id"] = .string(requestID)
        return logger
    }

    /// - Parameters:
    ///   - requestID: 1 to 128 of `A–Z a–z 0–9 . _ -`; the caller has checked.
    ///   - traceparent: W3C trace context, version 00; the caller has checked. `nil` begins a new trace.
    public init(
        functionName: String, requestID: String, traceparent: String? = nil, deadline: Deadline, caller: String = "",
        isStopping: @escaping @Sendable () -> Bool = { false }
    ) {
        self.functionName = functionName
        self.requestID = requestID
        self.traceparent = traceparent ?? Identifier.traceparent()
        self.deadline = deadline
        self.caller = caller
        stop = isStopping
    }
}
