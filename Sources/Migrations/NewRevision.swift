import FoundationEssentials
import Glibc
import Runtime

extension MigrationFolder {
    /// Writes an empty revision that follows the head.
    /// - Parameters:
    ///   - message: what it does; the file's name is made from it as Alembic makes it.
    ///   - id: its revision; default 12 random hexadecimal digits.
    /// - Returns: the path of the new file.
    /// - Throws: `MigrationError.invalidTarget` for an empty message or an id that is taken or malformed,
    ///   `.unreadable` when the file cannot be written.
    public func addRevision(message: String, id: String? = nil) throws(MigrationError) -> String {
        let words = message.split(whereSeparator: \.isWhitespace)
        guard !words.isEmpty else { throw .invalidTarget("-m is empty: say what the revision does") }
        let id = id ?? randomID()
        guard RevisionFile.isRevision(id) else {
            throw .invalidTarget("--rev-id '\(id)': a revision is 1 to 32 letters and digits, and no word such as head")
        }
        if let taken = revisions.first(where: { $0.id == id }) {
            throw .invalidTarget("Revision \(id) is already present, in \(taken.path)")
        }
        let path = "\(path)/\(id)_\(Self.slug(message)).sql"
        let text = """
            -- revision: \(id)
            -- down revision: \(head ?? "none")
            -- message: \(words.joined(separator: " "))

            -- migrate: up

            -- migrate: down

            """
        do {
            try Data(text.utf8).write(to: URL(filePath: path), options: .withoutOverwriting)
        } catch {
            let code = ((error as? CocoaError)?.underlying as? POSIXError)?.code.rawValue
            throw .unreadable(
                path: path, reason: "cannot be written: \(code.map { String(cString: strerror($0)) } ?? "\(error)")")
        }
        return path
    }

    private func randomID() -> String { Hexadecimal.encode((0..<6).map { _ in .random(in: 0...255) }) }

    /// The words in lower case, joined by underscores; past 40 characters it ends with the last whole word.
    private static func slug(_ message: String) -> String {
        let words = message.split { !($0.isLetter || $0.isNumber || $0 == "_") }
        let slug = words.joined(separator: "_").lowercased()
        guard slug.count > 40 else { return slug }
        let cut = slug.prefix(40)
        return String(cut[..<(cut.lastIndex(of: "_") ?? cut.endIndex)]) + "_"
    }
}
