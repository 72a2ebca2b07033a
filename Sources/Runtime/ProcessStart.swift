import Glibc

/// What every function's process does before its first event.
package enum ProcessStart {
    /// Makes what the process runs from this process's environment; ends the process with a log line that lists every fault.
    package static func make<Made>(
        _ build: (Settings, Settings.Process) throws -> Made
    ) -> (made: Made, process: Settings.Process) {
        let settings = Settings.fromProcess()
        let process = settings.process()
        do {
            let made = try build(settings, process)
            guard settings.faults.isEmpty else { refuse(process, settings.faults.joined(separator: "; ")) }
            return (made, process)
        } catch {
            refuse(process, (settings.faults + ["\(error)"]).joined(separator: "; "))
        }
    }

    static func make<F: Function>(_ type: F.Type) -> (function: F, process: Settings.Process) {
        let (function, process) = make { settings, _ in try type.init(settings) }
        return (function, process)
    }

    /// Whether it was started to handle one event from standard input.
    package static var isForOneEvent: Bool { CommandLine.arguments.dropFirst().first == "--event" }

    /// Ends the process, saying how it is to be started.
    static func refuse(usage: String) -> Never {
        _ = write(STDERR_FILENO, usage, usage.utf8.count)
        exit(EX_USAGE)
    }

    private static func refuse(_ process: Settings.Process, _ reason: String) -> Never {
        var line = LogLine(level: "critical")
        line.add("function", process.function)
        line.add("message", "cannot start")
        line.add("error", reason)
        line.write()
        exit(EX_CONFIG)
    }
}
