import CRabbitMQ
import Glibc
import Runtime

/// What the broker sends by itself, read frame by frame: the calls of librabbitmq that read whole messages wait without
/// limit.
extension Session {
    /// The next thing the broker says.
    /// - Returns: `nil` when it says nothing until the deadline; one that has passed asks only for what is there.
    func next(deadline: Deadline) throws(BrokerError) -> Incoming? {
        while let frame = try frame(deadline: deadline) {
            defer { release() }
            guard frame.frame_type == UInt8(AMQP_FRAME_METHOD) else { continue }
            if let incoming = try incoming(frame.payload.method) { return incoming }
        }
        return nil
    }

    private func incoming(_ method: amqp_method_t) throws(BrokerError) -> Incoming? {
        func decoded<Method>(_ type: Method.Type) -> Method {
            method.decoded.assumingMemoryBound(to: type).pointee
        }
        switch method.id {
        case AMQP_BASIC_DELIVER_METHOD:
            let deliver = decoded(amqp_basic_deliver_t.self)
            let key = String(deliver.routing_key)
            return .delivery(
                Delivery(
                    tag: deliver.delivery_tag, isRedelivered: deliver.redelivered != 0, routingKey: key,
                    message: try content()))
        case AMQP_BASIC_ACK_METHOD:
            let ack = decoded(amqp_basic_ack_t.self)
            return .settled(tag: ack.delivery_tag, multiple: ack.multiple != 0, isTaken: true)
        case AMQP_BASIC_NACK_METHOD:
            let nack = decoded(amqp_basic_nack_t.self)
            return .settled(tag: nack.delivery_tag, multiple: nack.multiple != 0, isTaken: false)
        case AMQP_BASIC_RETURN_METHOD: return .returned(try content())
        case AMQP_BASIC_CANCEL_METHOD: return .cancelled
        case AMQP_CONNECTION_BLOCKED_METHOD:
            blockedReason = String(decoded(amqp_connection_blocked_t.self).reason)
            return .blocked
        case AMQP_CONNECTION_UNBLOCKED_METHOD:
            blockedReason = nil
            return .unblocked
        case AMQP_CHANNEL_CLOSE_METHOD, AMQP_CONNECTION_CLOSE_METHOD: throw refusal(method)
        default: return nil
        }
    }

    private func frame(deadline: Deadline) throws(BrokerError) -> amqp_frame_t? {
        let connection = try opened()
        var frame = amqp_frame_t()
        var timeout = timeval(deadline)
        let status = amqp_simple_wait_frame_noblock(connection, &frame, &timeout)
        if status == AMQP_STATUS_TIMEOUT.rawValue { return nil }
        guard status == AMQP_STATUS_OK.rawValue else { throw failure(status, during: "waiting for messages") }
        return frame
    }

    /// The header and the body that follow a method with content.
    func content() throws(BrokerError) -> Message {
        // The broker sends a message in one go; what takes longer than this does not come.
        let deadline = Deadline.after(milliseconds: 15_000)
        let header = try contentFrame(AMQP_FRAME_HEADER, deadline)
        let size = Int(header.payload.properties.body_size)
        var message = Message(body: [])
        if let properties = header.payload.properties.decoded {
            message = Self.message(properties.assumingMemoryBound(to: amqp_basic_properties_t.self).pointee)
        }
        message.body.reserveCapacity(size)
        while message.body.count < size {
            let fragment = try contentFrame(AMQP_FRAME_BODY, deadline).payload.body_fragment
            message.body += UnsafeRawBufferPointer(start: fragment.bytes, count: fragment.len)
        }
        return message
    }

    private func contentFrame(_ type: Int32, _ deadline: Deadline) throws(BrokerError) -> amqp_frame_t {
        guard let frame = try frame(deadline: deadline) else {
            throw fail(.timedOut(place: place, waitingFor: "the rest of a message"))
        }
        guard frame.frame_type == UInt8(type) else {
            throw fail(.lost(place: place, reason: "a message came in pieces out of order"))
        }
        return frame
    }

    private static func message(_ properties: amqp_basic_properties_t) -> Message {
        let flags = Int32(bitPattern: properties._flags)
        func text(_ flag: Int32, _ value: amqp_bytes_t) -> String? { flags & flag == 0 ? nil : String(value) }
        let table = flags & Int32(AMQP_BASIC_HEADERS_FLAG) == 0 ? amqp_empty_table : properties.headers
        return Message(
            headers: headers(table),
            messageID: flags & Int32(AMQP_BASIC_MESSAGE_ID_FLAG) == 0 ? nil : identity(properties.message_id),
            contentType: text(Int32(AMQP_BASIC_CONTENT_TYPE_FLAG), properties.content_type),
            contentEncoding: text(Int32(AMQP_BASIC_CONTENT_ENCODING_FLAG), properties.content_encoding),
            correlationID: text(Int32(AMQP_BASIC_CORRELATION_ID_FLAG), properties.correlation_id),
            type: text(Int32(AMQP_BASIC_TYPE_FLAG), properties.type),
            application: text(Int32(AMQP_BASIC_APP_ID_FLAG), properties.app_id),
            timestamp: flags & Int32(AMQP_BASIC_TIMESTAMP_FLAG) == 0 ? nil : properties.timestamp,
            death: death(table), body: [])
    }

    private static func identity(_ bytes: amqp_bytes_t) -> String {
        String(validating: bytes) ?? Envelope.digest(Array(UnsafeRawBufferPointer(bytes)))
    }

    /// The broker's record of deaths begins with the last.
    private static func death(_ headers: amqp_table_t) -> Message.Death? {
        func value(_ name: String, of table: amqp_table_t) -> amqp_field_value_t? {
            (0..<Int(table.num_entries)).first { String(table.entries[$0].key) == name }
                .map { table.entries[$0].value }
        }
        func first(_ name: String, of table: amqp_table_t) -> amqp_field_value_t? {
            guard let list = value(name, of: table), list.kind == UInt8(AMQP_FIELD_KIND_ARRAY.rawValue),
                list.value.array.num_entries > 0
            else { return nil }
            return list.value.array.entries[0]
        }
        func text(_ value: amqp_field_value_t?) -> String? {
            value.flatMap { $0.kind == UInt8(AMQP_FIELD_KIND_UTF8.rawValue) ? String($0.value.bytes) : nil }
        }
        guard let last = first("x-death", of: headers), last.kind == UInt8(AMQP_FIELD_KIND_TABLE.rawValue) else {
            return nil
        }
        let table = last.value.table
        return .init(routingKey: text(first("routing-keys", of: table)), reason: text(value("reason", of: table)))
    }

    /// Texts, whole numbers and truth values; what else a table may hold is nothing of ours.
    private static func headers(_ table: amqp_table_t) -> [String: Message.Header] {
        var headers: [String: Message.Header] = [:]
        for index in 0..<Int(table.num_entries) {
            let entry = table.entries[index]
            headers[String(entry.key)] = header(entry.value)
        }
        return headers
    }

    private static func header(_ field: amqp_field_value_t) -> Message.Header? {
        let value = field.value
        switch amqp_field_value_kind_t(UInt32(field.kind)) {
        case AMQP_FIELD_KIND_UTF8, AMQP_FIELD_KIND_BYTES:
            return String(validating: value.bytes).map { .text($0) }
                ?? .bytes(Array(UnsafeRawBufferPointer(value.bytes)))
        case AMQP_FIELD_KIND_BOOLEAN: return .boolean(value.boolean != 0)
        case AMQP_FIELD_KIND_I8: return .integer(Int(value.i8))
        case AMQP_FIELD_KIND_U8: return .integer(Int(value.u8))
        case AMQP_FIELD_KIND_I16: return .integer(Int(value.i16))
        case AMQP_FIELD_KIND_U16: return .integer(Int(value.u16))
        case AMQP_FIELD_KIND_I32: return .integer(Int(value.i32))
        case AMQP_FIELD_KIND_U32: return .integer(Int(value.u32))
        case AMQP_FIELD_KIND_I64: return .integer(Int(value.i64))
        case AMQP_FIELD_KIND_U64, AMQP_FIELD_KIND_TIMESTAMP:
            return Int(exactly: value.u64).map { .integer($0) }
        default: return nil
        }
    }
}
