import Glibc
import Runtime

/// Waiting for something that happens by itself.
public enum Eventually {
    struct Failure: Error, CustomStringConvertible {
        let what: String
        var description: String { "did not happen: \(what)" }
    }

    /// Asks until `condition` holds.
    /// - Parameter seconds: after which it counts as not happening.
    /// - Throws: what `condition` throws, and an error that names `what`.
    public static func happens(_ what: String, within seconds: Int = 120, _ condition: () throws -> Bool) throws {
        try gives(what, within: seconds) { try condition() ? () : nil }
    }

    /// Asks until `find` gives a value.
    /// - Throws: as `happens` does.
    public static func gives<Value>(
        _ what: String, within seconds: Int = 120, _ find: () throws -> Value?
    ) throws -> Value {
        let limit = Deadline.after(milliseconds: seconds * 1000)
        while true {
            if let value = try find() { return value }
            guard !limit.hasPassed else { throw Failure(what: what) }
            usleep(10_000)
        }
    }
}
