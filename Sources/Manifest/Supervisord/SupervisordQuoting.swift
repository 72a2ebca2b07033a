/// Text of supervisord's configuration, where `%` starts an expansion.
func doubled(_ text: String) -> String { text.replacing("%", with: "%%") }

/// One word of a `command`. A backslash before everything unusual, not quotes: an unquoted `;` or `#` after a space
/// would start a comment, quoted or not for the shell-like splitting that comes later.
func commandWord(_ text: String) -> String {
    if text.isEmpty { return "\"\"" }
    let escaped = text.unicodeScalars.map { scalar in
        scalar.isASCII && String(scalar).wholeMatch(of: /[A-Za-z0-9_.,:=@%+\/-]/) == nil ? "\\\(scalar)" : "\(scalar)"
    }
    return doubled(escaped.joined())
}

/// Variables as the value of `environment`.
///
/// supervisord knows no escapes there: it strips quotes of both kinds from the ends of a value, takes ` ;` and ` #` for
/// comments even within quotes, and cuts the spaces around line ends. A value with any of that in it is written in
/// octal and put right by the shell that starts the process. The command line is not a place for values: everybody on the
/// machine can read it.
struct SupervisordEnvironment {
    /// What follows `environment=`.
    let text: String
    /// Commands for the `sh -c '…'` that starts the process; without single quotes, `%` doubled; empty if none are
    /// needed.
    let decoding: String

    init(_ variables: [(String, String)]) {
        var lines: [String] = []
        var decoding = ""
        for (name, value) in variables {
            if Self.isPlain(value) {
                lines.append("\n    \(name)=\"\(doubled(value))\"")
            } else {
                lines.append("\n    \(name)=\"\(Self.octal(value))\"")
                // The x keeps trailing newlines, which the substitution would cut off.
                decoding += "\(name)=$(printf %%bx \"$\(name)\"); \(name)=${\(name)%%x}; "
            }
        }
        text = lines.joined(separator: ",")
        self.decoding = decoding
    }

    private static func isPlain(_ value: String) -> Bool {
        value.wholeMatch(of: /[ -~&&[^"'\\;#]]*/) != nil
    }

    /// For `printf %b`.
    private static func octal(_ value: String) -> String {
        value.utf8.map { byte in
            let scalar = Character(Unicode.Scalar(byte))
            if scalar.isASCII, scalar.isLetter || scalar.isNumber || "/:.,-_ ".contains(scalar) {
                return String(scalar)
            }
            let digits = String(byte, radix: 8)
            return "\\0" + String(repeating: "0", count: 3 - digits.count) + digits
        }.joined()
    }
}
