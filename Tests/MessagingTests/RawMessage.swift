import Glibc
import TestSupport
import Testing

@testable import Messaging

/// A message byte by byte, as our own publisher would not send it.
struct RawMessage: Sendable, CustomTestStringConvertible {
    /// The entries of its table, encoded.
    var headers: [UInt8] = []
    /// Milliseconds.
    var expiration: String?
    var messageID: [UInt8]?
    var body = "{}"

    var testDescription: String { "\(headers.count) bytes of headers" }

    static func header(_ name: String, text: [UInt8]) -> [UInt8] { header(Array(name.utf8), text: text) }

    static func header(_ name: [UInt8], text: [UInt8]) -> [UInt8] {
        Wire.short(name) + [UInt8(ascii: "S")] + Wire.long(text)
    }

    /// A list that holds a list, and so on.
    static func lists(_ name: String, depth: Int) -> [UInt8] {
        Wire.short(Array(name.utf8))
            + (0..<depth).flatMap { [UInt8(ascii: "A")] + Wire.number(UInt32(5 * (depth - 1 - $0))) }
    }

    /// Publishes it under `ledger.x`, and waits until the broker has read it.
    func publish(to topology: ConsumerTopology, over session: Session) throws {
        let routing = Wire.short(Array(topology.exchange.utf8)) + Wire.short(Array("ledger.x".utf8))
        let flags: UInt16 = 0x2000 | (expiration == nil ? 0 : 0x100) | (messageID == nil ? 0 : 0x80)
        let properties = [expiration.map { Array($0.utf8) }, messageID].compactMap { $0 }.flatMap { Wire.short($0) }
        try Wire.send(.method(60, 40, Wire.number(UInt16(0)) + routing + [0]), over: session)
        try Wire.send(
            .header(
                Wire.number(UInt16(60)) + Wire.number(UInt16(0)) + Wire.number(UInt64(body.utf8.count))
                    + Wire.number(flags) + Wire.long(headers) + properties), over: session)
        var rest = Array(body.utf8)[...]
        while !rest.isEmpty {
            try Wire.send(.body(Array(rest.prefix(100_000))), over: session)
            rest = rest.dropFirst(100_000)
        }
        _ = try session.counts(topology.queue, deadline: .soon)
    }
}

/// Frames of AMQP 0-9-1.
enum Wire {
    enum Frame {
        case method(UInt16, UInt16, [UInt8])
        case header([UInt8])
        case body([UInt8])
    }

    static func number(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value.bigEndian, Array.init) }
    static func short(_ text: [UInt8]) -> [UInt8] { [UInt8(text.count)] + text }
    static func long(_ bytes: [UInt8]) -> [UInt8] { number(UInt32(bytes.count)) + bytes }

    /// Takes a message out of its queue, which makes it a dead letter.
    static func reject(_ tag: UInt64, over session: Session) throws {
        try send(.method(60, 90, number(tag) + [0]), over: session)
    }

    static func send(_ frame: Frame, over session: Session) throws {
        let (type, payload): (UInt8, [UInt8]) =
            switch frame {
            case .method(let group, let method, let arguments): (1, number(group) + number(method) + arguments)
            case .header(let bytes): (2, bytes)
            case .body(let bytes): (3, bytes)
            }
        var rest = ([type] + number(Session.channel) + long(payload) + [0xCE])[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { write(session.descriptor, $0.baseAddress, $0.count) }
            if written > 0 { rest = rest.dropFirst(written) }
            try #require(written > 0 || errno == EAGAIN)
            var socket = pollfd(fd: session.descriptor, events: Int16(POLLOUT), revents: 0)
            poll(&socket, 1, 1000)
        }
    }
}
