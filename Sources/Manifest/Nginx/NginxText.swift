/// A word of nginx's configuration, quoted where it must be.
func nginxWord(_ text: String) -> String {
    if text.wholeMatch(of: /[A-Za-z0-9_.:\/-]+/) != nil { return text }
    return "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
}

/// Four spaces before every line that is not empty.
func indented(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false).map { $0.isEmpty ? "" : "    \($0)" }
        .joined(separator: "\n")
}
