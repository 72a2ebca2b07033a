public import Events
public import Postgres
public import Runtime

/// A function that consumes events, as `rabbitmq` in functions.yml says.
///
/// ```swift
/// @main
/// struct OrderCompleted: EventFunction {
///     init(_ settings: Settings) {}
///     func handle(_ event: CloudEvent<Order>, in transaction: Connection, _ context: Context) throws { … }
/// }
/// ```
///
/// An event may be delivered any number of times, in any order; it takes effect once. The process needs `DATABASE_URL`,
/// the database whose inbox knows what was done.
public protocol EventFunction: Sendable {
    /// The event's data. What cannot be decoded as such is a dead letter at once.
    associatedtype Payload: Decodable & Sendable

    /// Runs once per process, before the first event; see ``Function``.
    init(_ settings: Settings) throws

    /// Does what the event asks for, in the transaction that also marks the event as done; the event is acknowledged
    /// after its commit. It must have no effect outside that transaction.
    ///
    /// Events that come together share a transaction; when one of them fails, each is handled again by itself.
    /// - Throws: ``PermanentFault`` for what can never succeed: a dead letter at once. After anything else the event is
    ///   tried again later, and is a dead letter after the last delay of `retry`. A database that cannot be reached
    ///   or written costs no attempt.
    func handle(_ event: CloudEvent<Payload>, in transaction: Connection, _ context: Context) throws
}

extension EventFunction {
    /// The process: consumes until SIGTERM; with `--event` it handles the one event on standard input, a CloudEvents
    /// object in JSON (structured mode), in the same way.
    public static func main() { ConsumerProcess.run(Self.self) }
}

/// Thrown by a handler for an event that can never succeed.
public struct PermanentFault: Error, Sendable, CustomStringConvertible {
    public let reason: String

    /// - Parameter reason: for the operator who finds the dead letter.
    public init(_ reason: String) { self.reason = reason }

    public var description: String { reason }
}
