import Glibc
import Postgres
import Runtime

/// Consumes one queue over one session. Owned by one thread.
///
/// A message is acknowledged when its effect is committed, or when the broker has confirmed that it is in the queue of
/// its next attempt or among the dead letters. Whatever ends the session before gives it back to the queue; what was
/// done already is known from the inbox then.
///
/// **What kills the consumer.** A death gives back every message that was prefetched, and the broker counts that for
/// each of them, culprit or bystander. So after its start a consumer is careful: it takes one message at a time, until
/// it meets the first that was never given out before; quorum queues give out first what came back. The death of a
/// careful consumer counts for one message only, the one in hand. A message that came back `suspectReturns` times was
/// in hand alone at two deaths at least, and is taken to have failed: it goes to its next retry queue unhandled, and
/// the others go on. What failed before is handled alone, never in a batch. So a message that kills its consumer costs
/// two or three deaths for each attempt, spread over the delays of the retries; one that stood beside it costs nothing,
/// and one that was in hand at three deaths by bad luck is late by one delay.
final class Consumer<F: EventFunction> {
    private let configuration: ConsumerConfiguration
    private let handling: EventHandling<F>
    private let stop: StopSignal
    private let log: OutageLog
    private var purge = InboxPurge()
    private let declareMilliseconds: Int
    /// When the topology is declared again.
    private var declareDue = Deadline.never

    /// A message that came back so often has failed.
    static var suspectReturns: Int { 3 }
    /// Longest time that messages are held while the database is away; the broker takes a channel for dead after 30
    /// minutes.
    private static var holdMilliseconds: Int { 600_000 }

    /// The session was given up on request.
    private struct Stopping: Error {}

    /// - Parameter declareMilliseconds: after which it declares its topology again.
    init(
        _ configuration: ConsumerConfiguration, _ handling: EventHandling<F>, stop: StopSignal,
        declareMilliseconds: Int = 60_000
    ) {
        self.configuration = configuration
        self.handling = handling
        self.stop = stop
        self.declareMilliseconds = declareMilliseconds
        log = OutageLog(function: handling.process.function)
    }

    /// Returns when `stop` is raised and the batch in hand is done.
    func run() {
        var pause = Backoff(milliseconds: 50...2000)
        while !stop.isRaised {
            do {
                // Messages that are fetched while nothing can be done with them only grow old here.
                try handling.database.execute("SELECT 1", deadline: .after(milliseconds: 2000))
                try consume { pause.reset() }
            } catch is Stopping {
                return
            } catch {
                log.failed("\(error)")
                stop.wait(milliseconds: pause.next())
            }
        }
    }

    private func consume(started: () -> Void) throws {
        let deadline = Deadline.after(milliseconds: 10_000)
        let session = try Session(configuration.broker, name: handling.process.function, deadline: deadline)
        defer { session.close() }
        try declare(in: session, deadline: deadline)
        let publisher = try Publisher(session, deadline: deadline)
        let queue = configuration.topology.queue
        try session.consume(queue, tag: "careful", prefetch: 1, deadline: deadline)
        var isCareful = true
        started()
        log.recovered()
        while true {
            try receive(publisher)
            let batch = takeBatch(publisher)
            try settle(batch, publisher)
            if isCareful, batch.contains(where: { $0.returns == 0 }) {
                isCareful = false
                let deadline = Deadline.after(milliseconds: 10_000)
                try session.cancelConsumer(tag: "careful", deadline: deadline)
                try session.consume(queue, tag: "steady", prefetch: configuration.prefetch, deadline: deadline)
            }
        }
    }

    // MARK: Taking messages

    /// Waits for a message, and takes all that are there.
    private func receive(_ publisher: Publisher) throws {
        let session = publisher.session
        while true {
            if stop.isRaised { throw Stopping() }
            purgeInbox()
            if declareDue.hasPassed, session.blockedReason == nil {
                try declare(in: session, deadline: .after(milliseconds: 10_000))
            }
            while publisher.received.count < configuration.prefetch,
                let incoming = try session.next(deadline: .after(milliseconds: 0))
            {
                switch incoming {
                case .delivery(let delivery): publisher.received.append(delivery)
                case .cancelled:
                    throw BrokerError.lost(
                        place: session.place, reason: "queue \(configuration.topology.queue) was removed")
                default: continue
                }
            }
            if !publisher.received.isEmpty { return }
            var descriptors = [session.descriptor, stop.descriptor].map {
                pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
            }
            poll(&descriptors, nfds_t(descriptors.count), 1000)
        }
    }

    /// A binding may go without a word to its consumer, as when somebody deletes the exchange and a relay makes it again.
    private func declare(in session: Session, deadline: Deadline) throws {
        try configuration.topology.declare(in: session, deadline: deadline)
        declareDue = .after(milliseconds: declareMilliseconds)
    }

    /// What it cannot remove is left for the next time: no message is given back for that.
    private func purgeInbox() {
        do {
            try purge.step(in: handling.database, deadline: .after(milliseconds: 5000))
        } catch {
            log.failed("the inbox is not purged: \(error)")
        }
    }

    /// The oldest messages here; one that has failed or come back is taken by itself.
    private func takeBatch(_ publisher: Publisher) -> [Delivery] {
        func isOrdinary(_ delivery: Delivery) -> Bool { delivery.returns == 0 && delivery.message.attempt == 0 }
        let ordinary = publisher.received.prefix(configuration.batchSize).prefix(while: isOrdinary)
        let count = max(1, ordinary.count)
        defer { publisher.received.removeFirst(count) }
        return Array(publisher.received.prefix(count))
    }

    // MARK: Settling them

    private func settle(_ batch: [Delivery], _ publisher: Publisher) throws {
        let events = batch.map { delivery in
            ReceivedEvent(
                envelope: Envelope(delivery.message, routingKey: delivery.routingKey), body: delivery.message.body,
                attempt: delivery.message.attempt)
        }
        if batch.count > 1, let last = batch.last, handling.handleTogether(events) {
            // All before it are settled: messages are settled in the order in which they came.
            return try publisher.session.acknowledge(last.tag, multiple: true)
        }
        for (delivery, event) in zip(batch, events) { try settle(delivery, event, publisher) }
    }

    private func settle(_ delivery: Delivery, _ event: ReceivedEvent, _ publisher: Publisher) throws {
        let deadLetter = configuration.topology.deadLetter
        let next = configuration.topology.retryQueue(attempt: delivery.message.attempt + 1) ?? deadLetter
        guard delivery.returns < Self.suspectReturns else {
            return try setAside(
                delivery, event, publisher, in: next,
                reason: "the consumer ended \(delivery.returns) times while it had this event")
        }
        switch try fate(event, publisher.session) {
        case .done, .repeated: try publisher.session.acknowledge(delivery.tag)
        case .hopeless(let reason):
            try setAside(delivery, event, publisher, in: deadLetter, reason: reason)
        case .failed(let reason), .databaseAway(let reason, _):
            try setAside(delivery, event, publisher, in: next, reason: reason)
        }
    }

    /// Handles an event, as often as it takes until the database is there and takes writes.
    ///
    /// A statement that takes its server down with it must not be tried for ever: when the event is suspect while the
    /// database answers others, again and again, it has failed. One that is not is held for as long as it takes. The
    /// session is closed when that is too long for the broker, once however long it is: what waits in it comes again
    /// after the event has shown that the database is back.
    private func fate(_ event: ReceivedEvent, _ session: Session) throws -> EventHandling<F>.Fate {
        let limit = Deadline.after(milliseconds: Self.holdMilliseconds)
        var pause = Backoff(milliseconds: 50...2000)
        var breaks = 0
        while true {
            let fate = handling.handle(event)
            guard case .databaseAway(let reason, let isSuspect) = fate else {
                log.recovered()
                return fate
            }
            log.failed(reason)
            let isAlone =
                isSuspect && (try? handling.database.execute("SELECT 1", deadline: .after(milliseconds: 2000))) != nil
            breaks = isAlone ? breaks + 1 : 0
            if breaks == 5 { return fate }
            stop.wait(milliseconds: pause.next())
            if stop.isRaised { throw Stopping() }
            if limit.hasPassed { session.close() }
        }
    }

    /// Moves a message to where it waits for its next attempt, or for an operator. It is held while the broker takes
    /// nothing.
    private func setAside(
        _ delivery: Delivery, _ event: ReceivedEvent, _ publisher: Publisher, in queue: String, reason: String
    ) throws {
        var copy = event.envelope.stamped(delivery.message)
        copy.note(attempt: delivery.message.attempt + 1, error: reason)
        try publisher.send(copy, to: queue) { blocked in
            log.failed("\(blocked)")
            return !stop.isRaised
        }
        log.recovered()
        FaultPoint.beforeRetryAcknowledge.reach()
        try publisher.session.acknowledge(delivery.tag)
        log.setAside(event.envelope, queue: queue, reason: reason)
    }
}
