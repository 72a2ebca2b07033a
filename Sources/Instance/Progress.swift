public import Foundation
import Glibc

/// Tells the person at the terminal what takes its time; in a log, one plain line per step.
public struct Progress: Sendable {
    private let isTerminal: Bool

    public init() { isTerminal = isatty(STDOUT_FILENO) == 1 }

    /// Announces the step, runs it and says how long it took, or that it failed.
    public func step<Result>(_ title: String, _ body: () throws -> Result) rethrows -> Result {
        let begin = DispatchTime.now().uptimeNanoseconds
        if isTerminal { write("  \(title) …") }
        do {
            let result = try body()
            let tenths = (DispatchTime.now().uptimeNanoseconds - begin) / 100_000_000
            write("\(isTerminal ? "\r" : "")  \(title): done (\(tenths / 10).\(tenths % 10) s)\n")
            return result
        } catch {
            write("\(isTerminal ? "\r" : "")  \(title): failed\n")
            throw error
        }
    }

    public func say(_ text: String) { write(text + "\n") }

    private func write(_ text: String) { FileHandle.standardOutput.tell(text) }
}

extension FileHandle {
    /// Writes what may get lost: the work that it tells of goes on also when the disk is full or the terminal gone.
    public func tell(_ text: String) { try? write(contentsOf: Data(text.utf8)) }
}
