import TestSupport

struct BrokenFastCGI: Error {}

/// Reads up to the end of the body and gives the parameters back, with the body as `BODY` and
/// the flag to keep the connection as `KEPT`.
func readFastCGIRequest(from gateway: FastCGIProbe) throws -> [String: String] {
    var parameters: [UInt8] = []
    var body: [UInt8] = []
    var kept: UInt8 = 0
    while let (type, content) = try gateway.nextRecord() {
        switch FastCGIRecord.Kind(rawValue: type) {
        case .begin where content.count == 8: kept = content[2] & 1
        case .parameters: parameters += content
        case .standardInput where content.isEmpty:
            var decoded = try pairs(parameters)
            decoded["KEPT"] = "\(kept)"
            decoded["BODY"] = String(decoding: body, as: UTF8.self)
            return decoded
        case .standardInput: body += content
        default: break
        }
    }
    throw BrokenFastCGI()
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
