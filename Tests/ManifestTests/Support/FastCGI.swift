struct BrokenFastCGI: Error {}

/// Reads up to the end of the body and gives the parameters back, with the body as `BODY` and
/// the flag to keep the connection as `KEPT`.
func readFastCGIRequest(from connection: Int32) throws -> [String: String] {
    var bytes: [UInt8] = []
    var parameters: [UInt8] = []
    var body: [UInt8] = []
    var kept: UInt8 = 0
    while true {
        while bytes.count >= 8 {
            let content = Int(bytes[4]) << 8 | Int(bytes[5])
            let total = 8 + content + Int(bytes[6])
            guard bytes.count >= total else { break }
            switch bytes[1] {
            case 1: kept = bytes[10] & 1
            case 4: parameters += bytes[8..<8 + content]
            case 5 where content == 0:
                var decoded = try pairs(parameters)
                decoded["KEPT"] = "\(kept)"
                decoded["BODY"] = String(decoding: body, as: UTF8.self)
                return decoded
            case 5: body += bytes[8..<8 + content]
            default: break
            }
            bytes.removeFirst(total)
        }
        let more = try receive(from: connection)
        guard !more.isEmpty else { throw BrokenFastCGI() }
        bytes += more
    }
}

func fastCGIRecord(type: UInt8, _ content: [UInt8]) -> [UInt8] {
    [1, type, 0, 1, UInt8(content.count >> 8), UInt8(content.count & 0xFF), 0, 0] + content
}

private func pairs(_ bytes: [UInt8]) throws -> [String: String] {
    var rest = bytes[...]
    func take(_ count: Int) throws -> ArraySlice<UInt8> {
        guard rest.count >= count else { throw BrokenFastCGI() }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }
    func length() throws -> Int {
        let first = try take(1).reduce(0) { $0 + Int($1) }
        guard first >= 128 else { return first }
        return try take(3).reduce(first & 0x7F) { $0 << 8 | Int($1) }
    }
    var result: [String: String] = [:]
    while !rest.isEmpty {
        let name = try length(), value = try length()
        let key = String(decoding: try take(name), as: UTF8.self)
        result[key] = String(decoding: try take(value), as: UTF8.self)
    }
    return result
}
