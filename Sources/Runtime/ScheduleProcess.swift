import Glibc

/// What `main` of a scheduled function does.
enum ScheduleProcess {
    static func run<F: ScheduledFunction>(_ type: F.Type) -> Never {
        let (function, process) = ProcessStart.make(type)
        let runner = ScheduleRunner(function: function, process: process)
        if ProcessStart.isForOneEvent { exit(runner.runOnce()) }
        guard let interval = process.scheduleSeconds else {
            ProcessStart.refuse(
                usage: """
                    \(process.function): start me with the interval in seconds in TAPROOM_SCHEDULE, or with --event and \
                    {} on standard input.

                    """)
        }
        let signals = SignalSet.blockAll()
        Workers.run(process, count: 1, signals: signals) { runner.runUntil($0, every: interval, $1) }
    }
}

/// Runs one scheduled function and logs what comes of it.
struct ScheduleRunner<F: ScheduledFunction>: Sendable {
    let function: F
    let process: Settings.Process

    /// Runs at every tick that comes; returns after the run during which `stop` was raised.
    func runUntil(_ stop: StopSignal, every seconds: Int, _ watch: Watch) {
        let interval = seconds * 1000
        while true {
            let next = Self.tick(after: Clock.epochMilliseconds(), interval: interval)
            while !stop.isRaised {
                let left = next - Clock.epochMilliseconds()
                // A clock that was set back makes the tick a later one.
                guard (1...interval).contains(left) else { break }
                stop.wait(milliseconds: min(left, Self.longestWaitMilliseconds))
            }
            if stop.isRaised { return }
            if Clock.epochMilliseconds() >= next { _ = run(ScheduledEvent(time: next, interval: seconds), stop, watch) }
        }
    }

    /// Runs the event on standard input, and prints the result.
    /// - Returns: the exit status: 0, 1 when the function failed, 64 when there is no event.
    func runOnce() -> Int32 {
        do {
            let text = try EventFile.read(limit: Self.eventLimit)
            guard let result = run(try JSON.decode(ScheduledEvent.self, from: text)) else { return 1 }
            return EventFile.report(result)
        } catch let fault as EventFile.TooLong {
            return EventFile.refuse(process, fault.description)
        } catch {
            return EventFile.refuse(
                process,
                "The event must be {} or {\"time\": milliseconds since 1970}: \(DecodingFault(error).sentence)")
        }
    }

    /// The result as JSON; `nil` when the function threw.
    private func run(_ event: ScheduledEvent, _ stop: StopSignal? = nil, _ watch: Watch? = nil) -> [UInt8]? {
        let start = Clock.monotonicNanoseconds()
        let context = Context(
            functionName: process.function, requestID: Identifier.uuid(),
            deadline: .after(milliseconds: process.timeoutMilliseconds),
            isStopping: { stop?.isRaised ?? false })
        watch?.begin(start: start, requestID: context.requestID, subject: "tick", String(event.time))
        defer { watch?.end() }
        var result: [UInt8]?
        var failure: Problem?
        do {
            result = try JSON.encode(function.handle(event, context))
        } catch {
            failure = (error as? any ProblemConvertible)?.problem ?? .internalError(debug: "\(error)")
        }
        var line = LogLine(level: failure.map { $0.status == 503 ? "warning" : "error" } ?? "info")
        line.add("request_id", context.requestID)
        line.add("trace", context.traceparent)
        line.add("function", process.function)
        line.add("tick", event.time)
        line.add("duration_ms", nanoseconds: Clock.monotonicNanoseconds() - start)
        line.add("result", json: result)
        line.add("error", failure.map { $0.debug ?? $0.detail })
        line.write()
        return result
    }

    /// The first whole multiple of the interval after an instant; both in milliseconds.
    static func tick(after instant: Int, interval: Int) -> Int { (instant / interval + 1) * interval }

    /// Bytes.
    private static var eventLimit: Int { 1 << 20 }

    /// The wall clock may be set while we wait.
    private static var longestWaitMilliseconds: Int { 10_000 }
}
