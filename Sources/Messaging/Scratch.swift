import CRabbitMQ
import Glibc

/// Memory for the texts and tables of one call to librabbitmq: valid until `reset`, freed when it goes.
final class Scratch {
    indirect enum Value {
        case text(String)
        case bytes([UInt8])
        case integer(Int)
        case boolean(Bool)
        case table([(String, Value)])
    }

    private let pool = UnsafeMutablePointer<amqp_pool_t>.allocate(capacity: 1)

    init() { init_amqp_pool(pool, 4096) }

    deinit {
        empty_amqp_pool(pool)
        pool.deallocate()
    }

    func reset() { recycle_amqp_pool(pool) }

    func bytes(_ text: String) -> amqp_bytes_t {
        var text = text
        return text.withUTF8 { bytes($0) }
    }

    func bytes(_ source: UnsafeBufferPointer<UInt8>) -> amqp_bytes_t {
        guard let base = source.baseAddress, !source.isEmpty else { return amqp_empty_bytes }
        let copy = allocate(source.count)
        memcpy(copy, base, source.count)
        return amqp_bytes_t(len: source.count, bytes: copy)
    }

    func table(_ entries: [(String, Value)]) -> amqp_table_t {
        guard !entries.isEmpty else { return amqp_empty_table }
        let memory = allocate(entries.count * MemoryLayout<amqp_table_entry_t>.stride)
            .bindMemory(to: amqp_table_entry_t.self, capacity: entries.count)
        for (index, (name, value)) in entries.enumerated() {
            (memory + index).initialize(to: amqp_table_entry_t(key: bytes(name), value: field(value)))
        }
        return amqp_table_t(num_entries: Int32(entries.count), entries: memory)
    }

    private func field(_ value: Value) -> amqp_field_value_t {
        var field = amqp_field_value_t()
        switch value {
        case .text(let text):
            field.kind = UInt8(AMQP_FIELD_KIND_UTF8.rawValue)
            field.value.bytes = bytes(text)
        case .bytes(let source):
            field.kind = UInt8(AMQP_FIELD_KIND_UTF8.rawValue)
            field.value.bytes = source.withUnsafeBufferPointer { bytes($0) }
        case .integer(let number):
            field.kind = UInt8(AMQP_FIELD_KIND_I64.rawValue)
            field.value.i64 = Int64(number)
        case .boolean(let flag):
            field.kind = UInt8(AMQP_FIELD_KIND_BOOLEAN.rawValue)
            field.value.boolean = flag ? 1 : 0
        case .table(let entries):
            field.kind = UInt8(AMQP_FIELD_KIND_TABLE.rawValue)
            field.value.table = table(entries)
        }
        return field
    }

    private func allocate(_ size: Int) -> UnsafeMutableRawPointer {
        guard let memory = amqp_pool_alloc(pool, size) else { fatalError("librabbitmq has no memory") }
        return memory
    }
}

extension String {
    /// Bytes from the broker; what is not UTF-8 shows as U+FFFD.
    init(_ bytes: amqp_bytes_t) { self.init(decoding: UnsafeRawBufferPointer(bytes), as: UTF8.self) }

    /// `nil` for what is not UTF-8.
    init?(validating bytes: amqp_bytes_t) { self.init(validating: UnsafeRawBufferPointer(bytes), as: UTF8.self) }
}

extension UnsafeRawBufferPointer {
    init(_ bytes: amqp_bytes_t) { self.init(start: bytes.bytes, count: bytes.len) }
}
