/// What came as an answer, however it came.
public protocol ReceivedResponse {
    var status: Int { get }
    var headers: HTTPFields { get }
    var body: [UInt8] { get }
}

extension ReceivedResponse {
    public var text: String { String(decoding: body, as: UTF8.self) }

    /// The body as JSON.
    public func json() throws -> TestJSON { try TestJSON(parsing: body) }

    /// The last part of the problem's type, such as `club-not-found`; `nil` when the body is no problem of ours.
    public var problem: String? {
        guard headers["Content-Type"] == "application/problem+json",
            let type = try? json()["type"]?.string, type.hasPrefix("/problems/")
        else { return nil }
        return String(type.dropFirst("/problems/".count))
    }

    /// The pointers of the problem's errors, in order.
    public var pointers: [String] {
        ((try? json())?["errors"]?.elements ?? []).compactMap { $0["pointer"]?.string }
    }
}
