import Foundation

/// Files under /proc that the kernel gives out in pieces, such as a table of sockets or of mappings.
public enum KernelFile {
    /// All of one. Foundation's shorter ways take the first piece for the whole, since such a file has no size.
    public static func text(_ path: String) throws -> String {
        let handle = try FileHandle(forReadingFrom: URL(filePath: path))
        defer { try? handle.close() }
        return String(decoding: try handle.readToEnd() ?? Data(), as: UTF8.self)
    }
}
