internal import CRabbitMQ
public import Runtime

extension ConsumerTopology {
    /// Lets no more events of a routing key come into the queue from an exchange. What is in the queue stays; a binding
    /// that is not there is no error.
    public func unbind(
        exchange: String, routingKey: String, at address: BrokerAddress, deadline: Deadline
    ) throws(BrokerError) {
        let session = try Session(address, name: "taproom", deadline: deadline)
        try session.call("unbinding queue \(queue)", deadline: deadline) {
            amqp_queue_unbind(
                $0, Session.channel, session.scratch.bytes(queue), session.scratch.bytes(exchange),
                session.scratch.bytes(routingKey), amqp_empty_table)
        }
    }
}
