extension HTTPEvent {
    /// The request id of an order in the path: 1 to 128 of `A–Z a–z 0–9 . _ : -`, neither `.` nor `..`.
    /// - Throws: 400 for anything else.
    public func platformRequestID() throws(Problem) -> String {
        let id = try path("request_id")
        guard Identifier.isPlatformRequestID(id) else {
            throw .badRequest([
                .init(
                    pointer: "/path/request_id",
                    detail: "request_id must have 1 to 128 of the characters A–Z a–z 0–9 . _ : - "
                        + "and be neither “.” nor “..”.")
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
