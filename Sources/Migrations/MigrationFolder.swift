import FoundationEssentials

/// The migrations of one service, `migrations/<service>`, read and found to be one line from base to head.
public struct MigrationFolder: Sendable {
    public let path: String
    /// From the first to the head.
    public let revisions: [Revision]

    /// The newest revision; `nil` for a folder without any.
    public var head: String? { revisions.last?.id }

    /// Reads every `.sql` file of a folder; other files are left alone.
    /// - Throws: `MigrationError.unreadable`, or `.invalidFiles` with all problems of all files.
    public static func load(_ path: String) throws(MigrationError) -> MigrationFolder {
        var revisions: [Revision] = []
        var files: [RevisionFile] = []
        for name in try names(in: path) where name.hasSuffix(".sql") && !name.hasPrefix(".") {
            let place = "\(path)/\(name)"
            guard let data = FileManager.default.contents(atPath: place) else {
                throw .unreadable(path: place, reason: "cannot be read: check that it is a file you may read")
            }
            var file = RevisionFile(path: place, bytes: [UInt8](data))
            if let revision = file.read() { revisions.append(revision) }
            files.append(file)
        }
        // What follows another file can only be judged when all files say what they are.
        let problems = files.flatMap(\.problems)
        guard problems.isEmpty else { throw .invalidFiles(problems) }
        let line = RevisionLine(revisions, files: files)
        guard line.problems.isEmpty else { throw .invalidFiles(line.problems) }
        return MigrationFolder(path: path, revisions: line.ordered)
    }

    /// The services under `migrations`: its folders, by name.
    public static func services(in path: String) throws(MigrationError) -> [String] {
        var services: [String] = []
        for name in try names(in: path) where !name.hasPrefix(".") {
            var isDirectory = false
            if FileManager.default.fileExists(atPath: "\(path)/\(name)", isDirectory: &isDirectory), isDirectory {
                services.append(name)
            }
        }
        return services
    }

    private static func names(in path: String) throws(MigrationError) -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        } catch {
            throw .unreadable(path: path, reason: "no such folder here, or it may not be read")
        }
    }

    /// The revision with this id or the only one whose id begins so; `head` and `heads` name the newest.
    /// - Parameter current: what `current` and bare steps count from; `nil` when no database is asked.
    /// - Returns: `nil` for `base`.
    public func revision(_ target: String, from current: String? = nil) throws(MigrationError) -> Revision? {
        let here = try current.map { id throws(MigrationError) in try position(of: id, from: nil) }
        let end = try position(of: target, from: here)
        return end == 0 ? nil : revisions[end - 1]
    }
}
