import CPostgres

/// What a libpq connection URI or keyword string says itself, by libpq's names such as `host` and `options`.
/// - Returns: `nil` for one that libpq cannot read.
public func connectionParameters(_ text: String) -> [String: String]? {
    guard !text.utf8.contains(0), let options = PQconninfoParse(text, nil) else { return nil }
    defer { PQconninfoFree(options) }
    var parameters: [String: String] = [:]
    var option = options
    while let keyword = option.pointee.keyword {
        if let value = option.pointee.val { parameters[String(cString: keyword)] = String(cString: value) }
        option += 1
    }
    return parameters
}
