import CRabbitMQ
import Glibc
import Runtime

/// What we ask of the broker.
extension Session {
    // MARK: Publishing

    /// Lets the broker confirm what this session publishes, numbered from 1.
    func confirmPublishes(deadline: Deadline) throws(BrokerError) {
        try call("asking for confirms", deadline: deadline) { amqp_confirm_select($0, Self.channel) }
    }

    /// Sends a message that is to be written to disk, and returned when no queue takes it. That it was sent means
    /// nothing yet. librabbitmq waits without limit for room in the socket: see `mayPublish`.
    func publish(_ message: Message, exchange: String, routingKey: String) throws(BrokerError) {
        let connection = try opened()
        var properties = self.properties(message)
        let status = message.body.withUnsafeBufferPointer { body in
            amqp_basic_publish(
                connection, Self.channel, scratch.bytes(exchange), scratch.bytes(routingKey), 1, 0, &properties,
                amqp_bytes_t(len: body.count, bytes: UnsafeMutableRawPointer(mutating: body.baseAddress)))
        }
        scratch.reset()
        guard status == AMQP_STATUS_OK.rawValue else { throw failure(status, during: "publishing") }
    }

    /// Waits until the socket has room or the broker has said something.
    /// - Returns: whether a message can be sent; `false` when the broker is to be heard first, or when it neither reads
    ///   nor says anything until the deadline.
    func mayPublish(deadline: Deadline) throws(BrokerError) -> Bool {
        _ = try opened()
        guard blockedReason == nil, !hasInput else { return false }
        var socket = pollfd(fd: descriptor, events: Int16(POLLIN | POLLOUT), revents: 0)
        while poll(&socket, 1, Int32(deadline.remainingMilliseconds)) <= 0 {
            if deadline.hasPassed { return false }
        }
        return socket.revents & Int16(POLLIN) == 0
    }

    private func properties(_ message: Message) -> amqp_basic_properties_t {
        var properties = amqp_basic_properties_t()
        var flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_HEADERS_FLAG
        properties.delivery_mode = UInt8(AMQP_DELIVERY_PERSISTENT.rawValue)
        properties.headers = scratch.table(
            message.headers.map { name, value in
                switch value {
                case .text(let text): (name, .text(text))
                case .bytes(let bytes): (name, .bytes(bytes))
                case .integer(let number): (name, .integer(number))
                case .boolean(let flag): (name, .boolean(flag))
                }
            })
        func set(_ flag: Int32, _ value: String?, _ member: WritableKeyPath<amqp_basic_properties_t, amqp_bytes_t>) {
            guard let value else { return }
            flags |= flag
            properties[keyPath: member] = scratch.bytes(value)
        }
        set(AMQP_BASIC_MESSAGE_ID_FLAG, message.messageID, \.message_id)
        set(AMQP_BASIC_CONTENT_TYPE_FLAG, message.contentType, \.content_type)
        set(AMQP_BASIC_CONTENT_ENCODING_FLAG, message.contentEncoding, \.content_encoding)
        set(AMQP_BASIC_CORRELATION_ID_FLAG, message.correlationID, \.correlation_id)
        set(AMQP_BASIC_TYPE_FLAG, message.type, \.type)
        set(AMQP_BASIC_APP_ID_FLAG, message.application, \.app_id)
        if let timestamp = message.timestamp {
            flags |= AMQP_BASIC_TIMESTAMP_FLAG
            properties.timestamp = timestamp
        }
        properties._flags = UInt32(bitPattern: flags)
        return properties
    }

    // MARK: Consuming

    /// Lets the broker send what is in a queue, so many at most that are not settled yet.
    func consume(_ queue: String, tag: String, prefetch: Int, deadline: Deadline) throws(BrokerError) {
        try call("setting the prefetch", deadline: deadline) {
            amqp_basic_qos($0, Self.channel, 0, UInt16(prefetch), 0)
        }
        try call("consuming from \(queue)", deadline: deadline) {
            amqp_basic_consume(
                $0, Self.channel, scratch.bytes(queue), scratch.bytes(tag), 0, 0, 0, amqp_empty_table)
        }
    }

    /// Lets the broker send no more; what it has sent before is still to be settled.
    func cancelConsumer(tag: String, deadline: Deadline) throws(BrokerError) {
        try call("ending the consumer", deadline: deadline) {
            amqp_basic_cancel($0, Self.channel, scratch.bytes(tag))
        }
    }

    /// Settles a delivery, or with `multiple` all up to it: they leave their queue.
    func acknowledge(_ tag: UInt64, multiple: Bool = false) throws(BrokerError) {
        let status = amqp_basic_ack(try opened(), Self.channel, tag, multiple ? 1 : 0)
        guard status == AMQP_STATUS_OK.rawValue else { throw failure(status, during: "acknowledging") }
    }

    /// Takes one message out of a queue; `nil` when it has none. Until it is acknowledged nobody else gets it, and when
    /// this session ends before, it goes back.
    func get(_ queue: String, deadline: Deadline) throws(BrokerError) -> Delivery? {
        let connection = try opened()
        var timeout = timeval(deadline)
        amqp_set_rpc_timeout(connection, &timeout)
        let reply = amqp_basic_get(connection, Self.channel, scratch.bytes(queue), 0)
        defer { release() }
        try check(reply, during: "reading from \(queue)")
        guard reply.reply.id == AMQP_BASIC_GET_OK_METHOD, let decoded = reply.reply.decoded else { return nil }
        let answer = decoded.assumingMemoryBound(to: amqp_basic_get_ok_t.self).pointee
        let key = String(answer.routing_key)
        return Delivery(
            tag: answer.delivery_tag, isRedelivered: answer.redelivered != 0, routingKey: key, message: try content())
    }

    // MARK: Declaring

    /// Makes an exchange of type topic that outlives the broker's restart, unless it is there.
    func declareExchange(_ name: String, deadline: Deadline) throws(BrokerError) {
        try call("declaring exchange \(name)", deadline: deadline) {
            amqp_exchange_declare(
                $0, Self.channel, scratch.bytes(name), scratch.bytes("topic"), 0, 1, 0, 0, amqp_empty_table)
        }
    }

    /// Makes a queue, unless it is there.
    /// - Throws: `refused` with 406 when it is there with other arguments.
    func declareQueue(_ queue: ConsumerTopology.Queue, deadline: Deadline) throws(BrokerError) {
        let arguments = scratch.table(
            queue.arguments.map { name, argument in
                switch argument {
                case .text(let text): (name, .text(text))
                case .integer(let number): (name, .integer(number))
                }
            })
        try call("declaring queue \(queue.name)", deadline: deadline) {
            amqp_queue_declare($0, Self.channel, scratch.bytes(queue.name), 0, 1, 0, 0, arguments)
        }
    }

    func bind(_ queue: String, to exchange: String, routingKey: String, deadline: Deadline) throws(BrokerError) {
        try call("binding queue \(queue)", deadline: deadline) {
            amqp_queue_bind(
                $0, Self.channel, scratch.bytes(queue), scratch.bytes(exchange), scratch.bytes(routingKey),
                amqp_empty_table)
        }
    }

    /// Takes a binding away, if it is there.
    func unbind(_ queue: String, from exchange: String, routingKey: String, deadline: Deadline) throws(BrokerError) {
        try call("unbinding queue \(queue)", deadline: deadline) {
            amqp_queue_unbind(
                $0, Self.channel, scratch.bytes(queue), scratch.bytes(exchange), scratch.bytes(routingKey),
                amqp_empty_table)
        }
    }

    /// Deletes a queue with what it holds, if it is there. A quorum queue knows no condition for it.
    /// - Returns: how many messages that nobody had taken went with it.
    func deleteQueue(_ name: String, deadline: Deadline) throws(BrokerError) -> Int {
        let answer = try call("deleting queue \(name)", deadline: deadline) {
            amqp_queue_delete($0, Self.channel, scratch.bytes(name), 0, 0)
        }
        return Int(answer.message_count)
    }

    /// - Throws: `refused` with 404 when there is no such queue.
    func counts(_ queue: String, deadline: Deadline) throws(BrokerError) -> QueueCounts {
        let answer = try call("asking for queue \(queue)", deadline: deadline) {
            amqp_queue_declare($0, Self.channel, scratch.bytes(queue), 1, 0, 0, 0, amqp_empty_table)
        }
        return QueueCounts(messages: Int(answer.message_count), consumers: Int(answer.consumer_count))
    }
}
