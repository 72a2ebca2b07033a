import Glibc

/// What every function's process does before its first event.
enum ProcessStart {
    /// Makes the function from this process's environment; ends the process with a log line that lists every fault.
    static func make<F: Function>(_ type: F.Type) -> (function: F, process: Settings.Process) {
        let settings = Settings.fromProcess()
        let process = settings.process()
        do {
            let function = try type.init(settings)
            guard settings.faults.isEmpty else { refuse(process, settings.faults.joined(separator: "; ")) }
            return (function, process)
        } catch {
            refuse(process, (settings.faults + ["\(error)"]).joined(separator: "; "))
        }
    }

    /// Whether it was started to handle one event from standard input.
    static var isForOneEvent: Bool { CommandLine.arguments.dropFirst().first == "--event" }

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
