public import Runtime

extension BrokerAddress {
    /// Asks by messages that no queue gets: the broker tells only those who publish. It takes the first all the same.
    /// - Returns: why it takes no messages at the moment, such as `low on disk`; `nil` when it takes them.
    /// - Throws: `BrokerError` when it cannot be asked.
    public func blockedReason(deadline: Deadline) throws(BrokerError) -> String? {
        let session = try Session(self, name: "taproom", deadline: deadline)
        let publisher = try Publisher(session, deadline: deadline)
        let parcel = Parcel(message: Message(body: []), exchange: "", routingKey: "")
        do throws(BrokerError) {
            for _ in 1...2 where session.blockedReason == nil {
                guard try publisher.publish([parcel], deadline: deadline) != [.unconfirmed] else {
                    throw publisher.unanswered
                }
            }
        } catch {
            guard session.blockedReason != nil else { throw error }
        }
        return session.blockedReason
    }
}
