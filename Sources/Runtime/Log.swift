import Glibc
internal import Logging

/// One line of JSON on standard error per call, written with a single write(2): lines of several threads and processes
/// that share the file do not mix, and no lock is held while writing.
enum LogLine {
    enum Value {
        case text(String)
        case number(Int)
        /// Written with three decimals.
        case milliseconds(nanoseconds: UInt64)
        /// Written as it is when the line stays short enough, else as text that is cut.
        case json([UInt8])
    }

    static func write(level: String, _ members: [(name: String, value: Value?)]) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(256)
        bytes.append(contentsOf: "{\"time\":\"".utf8)
        appendTime(to: &bytes)
        bytes.append(contentsOf: "\",\"level\":\"".utf8)
        bytes.append(contentsOf: level.utf8)
        bytes.append(UInt8(ascii: "\""))
        for (name, value) in members {
            guard let value else { continue }
            bytes.append(UInt8(ascii: ","))
            JSON.append(quoted: name, to: &bytes)
            bytes.append(UInt8(ascii: ":"))
            switch value {
            case .text(let text):
                JSON.append(quoted: text, to: &bytes, limit: max(0, Self.lineLimit - bytes.count) / 2)
            case .json(let value) where bytes.count + value.count < Self.lineLimit: bytes.append(contentsOf: value)
            case .json(let value):
                let text = String(decoding: value, as: UTF8.self)
                JSON.append(quoted: text, to: &bytes, limit: max(0, Self.lineLimit - bytes.count) / 2)
            case .number(let number): bytes.append(contentsOf: String(number).utf8)
            case .milliseconds(let nanoseconds):
                let thousandths = nanoseconds / 1000
                bytes.append(contentsOf: String(thousandths / 1000).utf8)
                bytes.append(UInt8(ascii: "."))
                append(Int(thousandths % 1000), digits: 3, to: &bytes)
            }
        }
        bytes.append(contentsOf: "}\n".utf8)
        bytes.withUnsafeBytes { _ = Glibc.write(2, $0.baseAddress, $0.count) }
    }

    /// Bytes. What is longer than a page is written in several pieces, between which another process may write.
    private static let lineLimit = 4000

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
        LogLine.write(
            level: event.level.rawValue,
            all.sorted { $0.key < $1.key }.map { ($0.key, .text("\($0.value)")) }
                + [("message", .text("\(event.message)"))])
    }
}
