import ArgumentParser
import Foundation
import Instance
import Runtime

struct Logs: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows the end of the logs: of one function, of nginx, postgres, rabbitmq or supervisord, or of all.")

    @Flag(name: .shortAndLong, help: "Keep printing new lines as they are written.")
    var follow = false

    @Option(name: [.customShort("n"), .long], help: "How many lines of each log.")
    var lines = 20

    @Flag(help: "The lines as they were written, without the function's name, also on a terminal.")
    var json = false

    @Argument(help: "A function, or nginx, postgres, rabbitmq, supervisord.")
    var function: String?

    func validate() throws {
        if lines < 0 { throw ValidationError("--lines must be 0 or more, not \(lines)") }
    }

    func run() throws {
        let instance = try Instance.started(try Project.find())
        let names = try function.map { [try instance.logName($0)] } ?? instance.logNames
        let logs = names.flatMap { name in instance.logFiles(of: name).map { (name, LogFile(path: $0)) } }
        let format = LogFormat(
            isReadable: isatty(STDOUT_FILENO) == 1, isRaw: json, width: names.map(\.count).max() ?? 0)
        for (name, log) in logs {
            for text in log.lastLines(lines) { print(format.render(name, text)) }
        }
        while follow, !isStandardOutputUnread() {
            for (name, log) in logs {
                for text in log.newLines() { print(format.render(name, text)) }
            }
            try flushStandardOutput()
            usleep(200_000)
        }
    }
}

/// How the lines of logs are shown.
struct LogFormat {
    /// For a terminal: time, level, message and the rest as name=value, and no control character.
    let isReadable: Bool
    /// As written, without the name in front.
    let isRaw: Bool
    let width: Int

    func render(_ name: String, _ text: String) -> String {
        if isRaw { return text }
        let name = name.padding(toLength: width, withPad: " ", startingAt: 0)
        guard isReadable else { return "\(name)  \(text)" }
        guard let object = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] else {
            // PostgreSQL indents with tabs what goes on.
            return "\(name)  \(text.replacing("\t", with: "    ").printable)"
        }
        var members = object.mapValues { "\($0)" }
        let leading = ["time", "level", "status", "route", "duration_ms", "message"].compactMap { key in
            members.removeValue(forKey: key).map { key == "duration_ms" ? "\($0) ms" : $0 }
        }
        members["function"] = nil
        let rest = members.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        return ([name + " "] + leading + rest).joined(separator: " ").printable
    }
}
