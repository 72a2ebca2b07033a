extension HTTPEvent {
    /// The request id of an order in the path: 1 to 128 of `A–Z a–z 0–9 . _ : -`.
    /// - Throws: 400 for anything else.
    public func platformRequestID() throws(Problem) -> String {
        let id = try path("request_id")
        let isAllowed = id.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: ":"),
                UInt8(ascii: "-"):
                true
            default: false
            }
        }
        guard isAllowed, (1...128).contains(id.utf8.count) else {
            throw .badRequest([
                .init(
                    pointer: "/path/request_id",
                    detail: "request_id must have 1 to 128 of the characters A–Z a–z 0–9 . _ : -")
            ])
        }
        return id
    }
}

/// Comparison of secrets.
public enum Secret {
    /// Whether two texts are equal, in a time that says nothing about where they differ.
    public static func equal(_ given: String, _ expected: String) -> Bool {
        let given = Array(given.utf8)
        let expected = Array(expected.utf8)
        var difference = given.count ^ expected.count
        for index in expected.indices {
            difference |= Int(expected[index] ^ (index < given.count ? given[index] : 0))
        }
        return difference == 0 && !expected.isEmpty
    }
}
