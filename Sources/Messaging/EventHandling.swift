internal import Events
internal import Postgres
internal import Runtime

/// An event that came, before its data is decoded.
struct ReceivedEvent: Sendable {
    let envelope: Envelope
    let body: [UInt8]
    /// How often it has failed before.
    let attempt: Int
}

/// Runs the handler of one function on events, each of which takes effect once.
struct EventHandling<F: EventFunction>: Sendable {
    enum Fate: Sendable, Equatable {
        case done
        /// It was done before; nothing happened now.
        case repeated
        case failed(reason: String)
        /// It will never succeed.
        case hopeless(reason: String)
        /// The database cannot be used at the moment, or has no inbox: this says nothing about the event, unless it is
        /// suspect of having caused it.
        case databaseAway(reason: String, isSuspect: Bool)
    }

    let function: F
    let database: Database
    let process: Settings.Process
    /// That of the worker; `nil` for one event by hand.
    var watch: Watch?

    /// Handles several in one transaction.
    /// - Returns: whether each is done; if not, nothing has happened and each must be handled by itself.
    func handleTogether(_ events: [ReceivedEvent]) -> [Fate]? {
        guard let decoded = try? events.map({ ($0, try decode($0)) }) else { return nil }
        return try? run(decoded)
    }

    /// - Parameter data: the event's data; default what its body holds.
    func handle(_ event: ReceivedEvent, data: F.Payload? = nil) -> Fate {
        let start = Clock.monotonicNanoseconds()
        let fate = fate(event, data)
        switch fate {
        case .done, .repeated, .databaseAway: break
        case .failed(let reason), .hopeless(let reason): log(event, context(event), since: start, reason: reason)
        }
        return fate
    }

    private func fate(_ event: ReceivedEvent, _ data: F.Payload?) -> Fate {
        do {
            return try run([(event, try decode(event, data))])[0]
        } catch let error as PermanentFault {
            return .hopeless(reason: error.reason)
        } catch let error as Inbox.Unusable {
            return .databaseAway(reason: "\(error.refusal)", isSuspect: false)
        } catch let error as PostgresError where error.saysDatabaseIsAway {
            return .databaseAway(reason: "\(error)", isSuspect: error.mayBeTheStatementsFault)
        } catch {
            let problem = (error as? any ProblemConvertible)?.problem
            return .failed(reason: problem?.debug ?? problem?.detail ?? "\(error)")
        }
    }

    private func run(_ events: [(ReceivedEvent, CloudEvent<F.Payload>)]) throws -> [Fate] {
        let start = Clock.monotonicNanoseconds()
        let deadline = Deadline.after(milliseconds: process.timeoutMilliseconds)
        let contexts = events.map { context($0.0, deadline: deadline) }
        let others = events.count > 1 ? " and \(events.count - 1) more" : ""
        watch?.begin(
            start: start, requestID: contexts[0].requestID, subject: "event_id", events[0].1.id + others)
        defer { watch?.end() }
        let fates = try database.transaction(deadline: deadline) { session in
            var unseen = try Inbox.claim(
                events.map { $0.1.id }, consumer: process.function, in: session, deadline: deadline)
            var fates: [Fate] = []
            for ((_, event), context) in zip(events, contexts) {
                let isNew = unseen.remove(Array(event.id.utf8)) != nil
                if isNew { try function.handle(event, in: session, context) }
                fates.append(isNew ? .done : .repeated)
            }
            FaultPoint.beforeCommit.reach()
            return fates
        }
        FaultPoint.afterCommit.reach()
        for (((event, _), context), fate) in zip(zip(events, contexts), fates) {
            log(event, context, since: start, isRepeated: fate == .repeated)
        }
        return fates
    }

    // MARK: One event

    private func decode(
        _ event: ReceivedEvent, _ data: F.Payload? = nil
    ) throws(PermanentFault) -> CloudEvent<F.Payload> {
        let envelope = event.envelope
        guard envelope.id.unicodeScalars.count <= Envelope.idLimit, !envelope.id.utf8.contains(0) else {
            throw PermanentFault("the event's id is longer than \(Envelope.idLimit) characters or holds a NUL")
        }
        let payload = if let data { data } else { try payload(event) }
        return CloudEvent(
            id: envelope.id, type: envelope.type, source: envelope.source, subject: envelope.subject,
            time: envelope.time, sequence: envelope.sequence, cause: envelope.cause,
            data: payload)
    }

    private func payload(_ event: ReceivedEvent) throws(PermanentFault) -> F.Payload {
        if let place = JSONSyntax.fault(in: event.body) {
            throw PermanentFault("the data is no JSON in UTF-8: see byte \(place), counted from 0")
        }
        do {
            return try JSON.decode(F.Payload.self, from: event.body)
        } catch {
            throw PermanentFault(
                "the data of \(event.envelope.type) has another form: \(DecodingFault(error).sentence)")
        }
    }

    private func context(_ event: ReceivedEvent, deadline: Deadline = .never) -> Context {
        let cause = event.envelope.cause
        return Context(
            functionName: process.function, requestID: cause.correlationID ?? Identifier.uuid(),
            traceparent: cause.traceparent, deadline: deadline)
    }

    private func log(
        _ event: ReceivedEvent, _ context: Context, since start: UInt64, isRepeated: Bool = false,
        reason: String? = nil
    ) {
        var line = LogLine(level: reason == nil ? "info" : "error")
        line.add("request_id", context.requestID)
        line.add("trace", context.traceparent)
        line.add("function", process.function)
        line.add("event_id", event.envelope.id)
        line.add("event_type", event.envelope.type)
        if event.attempt > 0 { line.add("failures", event.attempt) }
        line.add("duration_ms", nanoseconds: Clock.monotonicNanoseconds() - start)
        line.add("result", reason != nil ? "failed" : isRepeated ? "repeated" : "done")
        line.add("error", reason)
        line.write()
    }
}

extension PostgresError {
    /// Whether any other event would fare the same: no session, a read-only server, one without room. A statement that
    /// took too long is not of these: it may be the event's own fault.
    fileprivate var saysDatabaseIsAway: Bool {
        switch self {
        case .unavailable, .connectionLost: true
        case .refused(let refusal): refusal.sqlState == "25006" || refusal.sqlState.hasPrefix("53")
        case .timedOut, .unexpectedResult: false
        }
    }

    /// Whether a statement may have brought it about, by taking its server down or by wanting more memory than there is.
    /// A read-only server, a full disk and too many sessions are no statement's fault.
    fileprivate var mayBeTheStatementsFault: Bool {
        switch self {
        case .connectionLost: true
        case .refused(let refusal): !["25006", "53100", "53300"].contains(refusal.sqlState)
        case .unavailable, .timedOut, .unexpectedResult: false
        }
    }
}
