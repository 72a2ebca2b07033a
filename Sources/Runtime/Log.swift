import Glibc
import Logging

/// One line of JSON for standard error, built in one buffer and written with a single write(2): lines of several threads
/// and processes that share the file do not mix, and no lock is held while writing.
package struct LogLine {
    private var bytes: [UInt8] = []

    package init(level: String) {
        bytes.reserveCapacity(384)
        append("{\"time\":\"")
        Self.appendTime(to: &bytes)
        append("\",\"level\":\"")
        bytes.append(contentsOf: level.utf8)
        append("\"")
    }

    /// Adds a member; its name needs no escaping. Nothing is added for `nil`.
    package mutating func add(_ name: StaticString, _ value: String?) {
        guard let value else { return }
        begin(name)
        append(quoted: value)
    }

    package mutating func add(_ name: StaticString, _ value: Int) {
        begin(name)
        bytes.append(contentsOf: String(value).utf8)
    }

    /// Adds milliseconds with three decimals.
    package mutating func add(_ name: StaticString, nanoseconds: UInt64) {
        let thousandths = nanoseconds / 1000
        add(name, Int(thousandths / 1000))
        append(".")
        Self.append(Int(thousandths % 1000), digits: 3, to: &bytes)
    }

    /// Adds a JSON value as it is while the line stays short enough, else as text that is cut.
    package mutating func add(_ name: StaticString, json value: [UInt8]?) {
        guard let value else { return }
        guard bytes.count + value.count < Self.limit else {
            return add(name, String(decoding: value, as: UTF8.self))
        }
        begin(name)
        bytes.append(contentsOf: value)
    }

    /// Adds a member whose name comes from elsewhere.
    package mutating func add(name: String, _ value: String) {
        append(",")
        append(quoted: name)
        append(":")
        append(quoted: value)
    }

    /// Writes the line; what cannot be written is lost.
    package consuming func write() {
        append("}\n")
        bytes.withUnsafeBytes { _ = Glibc.write(2, $0.baseAddress, $0.count) }
    }

    /// Bytes. What is longer than a page is written in several pieces, between which another process may write.
    private static let limit = 4000

    private mutating func append(quoted text: String) {
        JSON.append(quoted: text, to: &bytes, limit: max(0, Self.limit - bytes.count) / 2)
    }

    private mutating func begin(_ name: StaticString) {
        append(",\"")
        append(name)
        append("\":")
    }

    private mutating func append(_ text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// RFC 3339, UTC, milliseconds.
    private static func appendTime(to bytes: inout [UInt8]) {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        var parts = tm()
        gmtime_r(&now.tv_sec, &parts)
        append(Int(parts.tm_year) + 1900, digits: 4, to: &bytes)
        for (separator, number) in [
            ("-", parts.tm_mon + 1), ("-", parts.tm_mday), ("T", parts.tm_hour), (":", parts.tm_min),
            (":", parts.tm_sec),
        ] as [(Unicode.Scalar, Int32)] {
            bytes.append(UInt8(ascii: separator))
            append(Int(number), digits: 2, to: &bytes)
        }
        bytes.append(UInt8(ascii: "."))
        append(now.tv_nsec / 1_000_000, digits: 3, to: &bytes)
        bytes.append(UInt8(ascii: "Z"))
    }

    private static func append(_ number: Int, digits: Int, to bytes: inout [UInt8]) {
        var divisor = 1
        for _ in 1..<digits { divisor *= 10 }
        while divisor > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(number / divisor % 10))
            divisor /= 10
        }
    }
}

/// swift-log's back end of `Context.logger`.
struct JSONLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        var line = LogLine(level: event.level.rawValue)
        for (name, value) in all.sorted(by: { $0.key < $1.key }) { line.add(name: name, "\(value)") }
        line.add("message", "\(event.message)")
        line.write()
    }
}
