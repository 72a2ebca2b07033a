public import Runtime

/// What a queue has at one moment.
public struct QueueCounts: Sendable, Equatable {
    /// Those that wait for a consumer. One that a consumer has taken and not acknowledged is not counted: a passive
    /// declaration, which is all that AMQP has for it, does not tell.
    public let messages: Int
    public let consumers: Int

    /// - Returns: by name; `nil` for a queue that is not there.
    public static func of(
        _ queues: [String], at address: BrokerAddress, deadline: Deadline
    ) throws(BrokerError) -> [String: QueueCounts?] {
        var counts: [String: QueueCounts?] = [:]
        var session = try Session(address, name: "taproom", deadline: deadline)
        for queue in queues {
            do throws(BrokerError) {
                counts.updateValue(try session.counts(queue, deadline: deadline), forKey: queue)
            } catch .refused(_, code: 404, _) {
                counts.updateValue(nil, forKey: queue)
                // The refusal has closed it.
                session = try Session(address, name: "taproom", deadline: deadline)
            }
        }
        return counts
    }
}
