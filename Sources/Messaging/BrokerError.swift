/// What went wrong between a process and the broker. The session it came from is closed, except where `blocked`.
public enum BrokerError: Error, Sendable, Equatable {
    /// The URI cannot be used.
    case badAddress(String)
    /// No session could be had: nothing was sent.
    case unavailable(place: String, reason: String)
    /// The broker takes nothing at the moment, such as without disk or memory. The session stays; what was sent over it
    /// and not confirmed arrives when the broker takes messages again.
    case blocked(place: String, reason: String)
    /// The session broke: what was sent and not confirmed may or may not have arrived.
    case lost(place: String, reason: String)
    /// The broker did not answer in time: what was sent and not confirmed may or may not have arrived.
    case timedOut(place: String, waitingFor: String)
    /// The broker closed the channel or the connection, such as 404 for a queue that is not there or 406 for one that
    /// is declared with other arguments.
    case refused(place: String, code: Int, text: String)
    /// A message for a named queue was not taken into it.
    case notTaken(place: String, queue: String)
}

extension BrokerError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .badAddress(let reason): reason
        case .unavailable(let place, let reason): "RabbitMQ at \(place) is unavailable: \(reason)"
        case .blocked(let place, let reason): "RabbitMQ at \(place) takes nothing at the moment: \(reason)"
        case .lost(let place, let reason): "the connection with RabbitMQ at \(place) broke: \(reason)"
        case .timedOut(let place, let what): "RabbitMQ at \(place) did not answer in time: \(what)"
        case .refused(let place, let code, let text): "RabbitMQ at \(place) refused: \(code) \(text)"
        case .notTaken(let place, let queue): "RabbitMQ at \(place) did not take a message into queue \(queue)"
        }
    }
}
