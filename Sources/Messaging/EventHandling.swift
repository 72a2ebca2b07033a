import Events
import Postgres
import Runtime

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

    /// An event in hand. It has one context for its handler and for its own log lines, by which they are joined.
    private struct Invocation {
        let received: ReceivedEvent
        /// `nil` for what its body holds.
        var data: F.Payload?
        let context: Context
    }

    /// The time limit passed while events were read, before anything was done.
    private struct Late: Error, CustomStringConvertible {
        var description: String { "no time was left once its data was read" }
    }

    /// Handles several in one transaction.
    /// - Returns: whether all are done; if not, nothing has happened and each must be handled by itself.
    func handleTogether(_ events: [ReceivedEvent]) -> Bool {
        let start = Clock.monotonicNanoseconds()
        let deadline = Deadline.after(milliseconds: process.timeoutMilliseconds)
        let invocations = events.map { Invocation(received: $0, context: context($0, deadline: deadline)) }
        return (try? run(invocations, since: start, deadline: deadline)) != nil
    }

    /// - Parameter data: the event's data; default what its body holds.
    func handle(_ event: ReceivedEvent, data: F.Payload? = nil) -> Fate {
        let start = Clock.monotonicNanoseconds()
        let context = context(event, deadline: .after(milliseconds: process.timeoutMilliseconds))
        let fate = fate(event, data, context, since: start)
        switch fate {
        case .done, .repeated, .databaseAway: break
        case .failed(let reason), .hopeless(let reason): log(event, context, since: start, reason: reason)
        }
        return fate
    }

    private func fate(_ event: ReceivedEvent, _ data: F.Payload?, _ context: Context, since start: UInt64) -> Fate {
        do {
            let invocation = Invocation(received: event, data: data, context: context)
            return try run([invocation], since: start, deadline: context.deadline)[0]
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

    private func run(_ invocations: [Invocation], since start: UInt64, deadline: Deadline) throws -> [Fate] {
        let (first, others) = (invocations[0], invocations.count - 1)
        watch?.begin(
            start: start, requestID: first.context.requestID, subject: "event_id",
            first.received.envelope.id + (others > 0 ? " and \(others) more" : ""))
        defer { watch?.end() }
        FaultPoint.beforeDecode.reach()
        let events = try invocations.map { try decode($0.received, $0.data) }
        // The database would be taken for one that is away.
        guard !deadline.hasPassed else { throw Late() }
        let fates = try database.transaction(deadline: deadline) { session in
            var unseen = try Inbox.claim(
                events.map(\.id), consumer: process.function, in: session, deadline: deadline)
            var fates: [Fate] = []
            for (event, invocation) in zip(events, invocations) {
                let isNew = unseen.remove(Array(event.id.utf8)) != nil
                if isNew { try function.handle(event, in: session, invocation.context) }
                fates.append(isNew ? .done : .repeated)
            }
            FaultPoint.beforeCommit.reach()
            return fates
        }
        FaultPoint.afterCommit.reach()
        for (invocation, fate) in zip(invocations, fates) {
            log(invocation.received, invocation.context, since: start, isRepeated: fate == .repeated)
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
            throw PermanentFault("the data \(JSONSyntax.complaint): see byte \(place), counted from 0")
        }
        do {
            return try JSON.decode(F.Payload.self, from: event.body)
        } catch {
            throw PermanentFault(
                "the data of \(event.envelope.type) has another form: \(DecodingFault(error).sentence)")
        }
    }

    private func context(_ event: ReceivedEvent, deadline: Deadline) -> Context {
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
        case .refused(let refusal):
            refusal.sqlState == SQLState.readOnlySQLTransaction
                || refusal.sqlState.hasPrefix(SQLState.Class.insufficientResources)
        case .timedOut, .unexpectedResult: false
        }
    }

    /// Whether a statement may have brought it about, by taking its server down or by wanting more memory than there is.
    /// A read-only server, a full disk and too many sessions are no statement's fault.
    fileprivate var mayBeTheStatementsFault: Bool {
        switch self {
        case .connectionLost: true
        case .refused(let refusal):
            ![SQLState.readOnlySQLTransaction, SQLState.diskFull, SQLState.tooManyConnections]
                .contains(refusal.sqlState)
        case .unavailable, .timedOut, .unexpectedResult: false
        }
    }
}
