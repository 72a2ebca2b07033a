import FoundationEssentials

extension Manifest {
    /// Nil when the file at `path` holds exactly `rendered`; else one sentence that names the file, the first line
    /// that differs, and what both say there.
    public static func drift(of rendered: String, fileAt path: String) -> String? {
        guard let data = FileManager.default.contents(atPath: path) else {
            return "\(path): cannot be read; render it"
        }
        guard data != Data(rendered.utf8) else { return nil }
        let actual = String(decoding: data, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        let expected = rendered.split(separator: "\n", omittingEmptySubsequences: false)
        let common = zip(actual, expected).prefix { $0 == $1 }.count
        func line(_ lines: [Substring]) -> String {
            common < lines.count ? "\"\(lines[common])\"" : "the end of the file"
        }
        return "\(path):\(common + 1): differs from what functions.yml gives: "
            + "it has \(line(actual)) where \(line(expected)) is rendered; render it again"
    }
}
