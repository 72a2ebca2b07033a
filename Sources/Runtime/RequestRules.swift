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
