import Glibc

/// An event that somebody hands to a function with `--event`: JSON on standard input, and what came of it as a line of
/// JSON on standard output.
package enum EventFile {
    /// More came than the function takes.
    package struct TooLong: Error, CustomStringConvertible {
        fileprivate let limit: Int
        package var description: String { "The event is longer than \(limit) bytes." }
    }

    /// The event as it came.
    /// - Parameter limit: in bytes.
    package static func read(limit: Int) throws(TooLong) -> [UInt8] {
        let text = StandardInput.read(limit: limit + 1)
        guard text.count <= limit else { throw TooLong(limit: limit) }
        return text
    }

    /// Prints what came of it.
    /// - Returns: the exit status: 0, 1 when it could not be written.
    package static func report(_ result: [UInt8]) -> Int32 {
        (try? StandardOutput.write(line: result)) == nil ? 1 : 0
    }

    /// Logs why it is not an event for this function.
    /// - Returns: the exit status: 64.
    package static func refuse(_ process: Settings.Process, _ reason: String) -> Int32 {
        var line = LogLine(level: "error")
        line.add("function", process.function)
        line.add("message", "bad event")
        line.add("error", reason)
        line.write()
        return EX_USAGE
    }
}
