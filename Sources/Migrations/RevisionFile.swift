import Digests
import Runtime

/// Reads one migration file; its form is described at `Revision`.
struct RevisionFile {
    let path: String
    let bytes: [UInt8]
    private(set) var problems: [FileProblem] = []
    private var header: [String: (value: String, line: Int)] = [:]
    private var markers: [(name: String, line: Int, range: Range<Int>)] = []

    static let keys = ["revision", "down revision", "message"]

    init(path: String, bytes: [UInt8]) {
        self.path = path
        self.bytes = bytes
    }

    /// The line that holds the header's key; 1 when the key is missing.
    func line(of key: String) -> Int { header[key]?.line ?? 1 }

    /// The revision, or `nil` with the reasons in `problems`.
    mutating func read() -> Revision? {
        if bytes.contains(0) { report(1, "holds a NUL byte: SQL is text in UTF-8") }
        if String(validating: bytes, as: UTF8.self) == nil { report(1, "is not UTF-8: save it as UTF-8") }
        guard problems.isEmpty else { return nil }
        readLines()
        let id = revision()
        let downRevision = downRevision()
        let message = value(of: "message")
        let up = part("up")
        let down = part("down")
        if markers.map(\.name) == ["down", "up"] { report(markers[0].line, "the up part comes before the down part") }
        guard problems.isEmpty, let id, let downRevision, let message else { return nil }
        return Revision(
            id: id, downRevision: downRevision == "none" ? nil : downRevision, message: message, path: path,
            checksum: checksum, up: up, down: down)
    }

    private var checksum: String { Hexadecimal.encode(Digest.sha256(bytes)) }

    private mutating func report(_ line: Int, _ text: String) {
        problems.append(FileProblem(path: path, line: line, text: text))
    }

    // MARK: Lines

    private mutating func readLines() {
        var number = 0
        var start = 0
        for line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            number += 1
            let next = min(start + line.count + 1, bytes.count)
            // Editors of Windows put a byte order mark before UTF-8.
            let mark = number == 1 && line.starts(with: JSONSyntax.byteOrderMark) ? JSONSyntax.byteOrderMark.count : 0
            let text = String(decoding: line.dropFirst(mark), as: UTF8.self).trimmingWhitespace()
            if let name = Self.comment(text, "migrate") {
                readMarker(name, line: number, start: start, next: next)
            } else if markers.isEmpty {
                readHeader(text, line: number)
            }
            start = next
        }
    }

    private mutating func readMarker(_ name: String, line: Int, start: Int, next: Int) {
        if let last = markers.indices.last {
            markers[last].range = markers[last].range.lowerBound..<start
        }
        guard name == "up" || name == "down" else {
            return report(
                line, "“-- migrate: \(name)” is not a section: there are “-- migrate: up” and “-- migrate: down”")
        }
        if let first = markers.first(where: { $0.name == name }) {
            report(line, "a second “-- migrate: \(name)”, the first is at line \(first.line)")
        }
        markers.append((name, line, next..<bytes.count))
    }

    private mutating func readHeader(_ text: String, line: Int) {
        guard !text.isEmpty else { return }
        guard text.hasPrefix("--") else {
            return report(line, "only comments may stand above “-- migrate: up”")
        }
        for key in Self.keys {
            guard let value = Self.comment(text, key) else { continue }
            if let first = header[key] {
                report(line, "a second “-- \(key):”, the first is at line \(first.line)")
            } else {
                header[key] = (value, line)
            }
        }
    }

    /// The value of a comment `-- key: value`; `nil` when the line is something else.
    private static func comment(_ text: String, _ key: String) -> String? {
        guard text.hasPrefix("--") else { return nil }
        let content = text.dropFirst(2).trimmingWhitespace()
        guard content.hasPrefix(key + ":") else { return nil }
        return content.dropFirst(key.count + 1).trimmingWhitespace()
    }

    // MARK: Header and parts

    private mutating func value(of key: String) -> String? {
        guard let value = header[key]?.value, !value.isEmpty else {
            report(line(of: key), "has no “-- \(key): …” in its header")
            return nil
        }
        return value
    }

    private mutating func revision() -> String? {
        guard let id = value(of: "revision") else { return nil }
        guard Self.isRevision(id) else {
            report(
                line(of: "revision"),
                "“\(id)” is not a revision: 1 to 32 letters and digits, and not a word such as head")
            return nil
        }
        let name = path.split(separator: "/").last ?? ""
        let prefix = name.split(separator: "_", omittingEmptySubsequences: false)[0]
        if prefix != id || !name.contains("_") {
            report(
                line(of: "revision"),
                "the header says revision \(id), the file's name says otherwise: name it \(id)_….sql")
        }
        return id
    }

    private mutating func downRevision() -> String? {
        guard let id = value(of: "down revision") else { return nil }
        guard id == "none" || Self.isRevision(id) else {
            report(line(of: "down revision"), "“\(id)” is neither a revision nor none")
            return nil
        }
        return id
    }

    /// 1 to 32 ASCII letters and digits that are not one of the command line's own words.
    static func isRevision(_ text: String) -> Bool {
        (1...32).contains(text.utf8.count) && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) }
            && !["head", "heads", "base", "current", "none"].contains(text)
    }

    private mutating func part(_ name: String) -> [Statement] {
        guard let marker = markers.first(where: { $0.name == name }) else {
            report(1, "has no part “-- migrate: \(name)”")
            return []
        }
        do throws(StatementScanner.Fault) {
            return try StatementScanner.statements(in: bytes[marker.range], line: marker.line + 1)
        } catch {
            report(error.line, error.text)
            return []
        }
    }
}
