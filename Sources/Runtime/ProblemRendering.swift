extension Problem {
    /// The answer for the request of that id, members in the order of the RFC.
    func response(requestID: String) -> HTTPResponse {
        var bytes: [UInt8] = []
        func member(_ name: String, _ value: String) {
            bytes.append(bytes.isEmpty ? UInt8(ascii: "{") : UInt8(ascii: ","))
            JSON.append(quoted: name, to: &bytes)
            bytes.append(UInt8(ascii: ":"))
            bytes.append(contentsOf: value.utf8)
        }
        member("type", JSON.quote("/problems/\(slug)"))
        member("title", JSON.quote(title))
        member("status", String(status))
        member("detail", JSON.quote(detail))
        member("instance", JSON.quote("urn:request:\(requestID)"))
        for (name, value) in extensions.sorted(by: { $0.key < $1.key }) { member(name, JSON.quote(value)) }
        for (name, value) in embedded.sorted(by: { $0.key < $1.key }) { member(name, value) }
        if !errors.isEmpty {
            let faults = errors.map {
                "{\"pointer\":\(JSON.quote($0.pointer)),\"detail\":\(JSON.quote($0.detail))}"
            }
            member("errors", "[\(faults.joined(separator: ","))]")
        }
        bytes.append(UInt8(ascii: "}"))
        return HTTPResponse(
            status: status, headers: [("Content-Type", "application/problem+json")] + headers, body: .bytes(bytes))
    }
}
