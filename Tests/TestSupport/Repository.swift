/// The files of this repository, as they lie beside the tests' sources.
public enum Repository {
    /// The folder with Package.swift, without a slash at its end.
    public static let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
}
