import Glibc
import Postgres
import Runtime

/// Publishes the events of one service's outbox, as long as the process runs. Owned by one thread.
///
/// No transaction is open while it talks to the broker. A row is marked after the broker has confirmed its event; when
/// anything breaks in between, the row still waits and is published again under the same id.
final class Relay {
    private let configuration: RelayConfiguration
    private let table: OutboxTable
    private let pipe: SignalPipe
    private let stop: StopSignal
    private let log: OutageLog
    private var database: Connection?
    private var publisher: Publisher?
    private var lanes: [Int] = []
    private var lanesUntil = Deadline.after(milliseconds: 0)
    private var purge = OutboxPurge()
    private var held = HeldSubjects()

    /// Between two looks for events that nobody signalled: at first, and when nothing happens for long.
    private static let idleMilliseconds = 200...1000
    /// Under a stream of signals, from one sweep to the next: what comes meanwhile goes out together. An event after a
    /// pause does not wait. With 10, each event takes 1.4 times the processor time.
    private static let gatherMilliseconds = 50
    private static let databaseMilliseconds = 10_000
    /// Leases are renewed well before they end.
    private static let renewMilliseconds = 1000

    init(_ configuration: RelayConfiguration, pipe: SignalPipe, stop: StopSignal) {
        self.configuration = configuration
        self.pipe = pipe
        self.stop = stop
        table = OutboxTable(
            service: configuration.service, holder: Identifier.uuid(), batchSize: configuration.batchSize)
        log = OutageLog(function: configuration.function)
    }

    /// Returns when `stop` is raised and the batch in hand is done.
    func run() {
        var idle = Self.idleMilliseconds.lowerBound
        var trouble = Backoff(milliseconds: 50...2000)
        while !stop.isRaised {
            let next = Deadline.after(milliseconds: Self.gatherMilliseconds)
            do {
                let (count, isMore) = try sweep()
                log.recovered()
                trouble.reset()
                if isMore { continue }
                idle = count > 0 ? Self.idleMilliseconds.lowerBound : min(2 * idle, Self.idleMilliseconds.upperBound)
                waitForSignal(milliseconds: idle)
                usleep(UInt32(1000 * next.remainingMilliseconds))
            } catch {
                log.failed("\(error)")
                stop.wait(milliseconds: trouble.next())
            }
        }
        if let database, database.isUsable {
            try? table.releaseLanes(in: database, deadline: .after(milliseconds: 1000))
        }
    }

    /// One look at the outbox.
    /// - Returns: how many events were sent, and whether the next look may come at once.
    private func sweep() throws -> (count: Int, isMore: Bool) {
        pipe.drain()
        let publisher = try openPublisher()
        let database = try openDatabase()
        try renewLanes(in: database)
        guard !lanes.isEmpty else { return (0, false) }
        let deadline = Deadline.after(milliseconds: Self.databaseMilliseconds)
        let waiting = try table.waiting(lanes: lanes, excluded: held.begin(), in: database, deadline: deadline)
        let isAll = waiting.count < configuration.batchSize
        let heldBefore = held.count
        let (free, tried) = held.choose(waiting)
        if !free.isEmpty { try publish(free, publisher, database) }
        if publisher.session.isOpen, !stop.isRaised {
            if !tried.isEmpty { try publish(tried, publisher, database) }
            // Clearing a policy that limits a queue does not reach whom RabbitMQ 3.10 refuses: a new session is asked anew.
            if held.end(isAll: isAll) { publisher.session.close() }
        }
        if lanes.contains(0) {
            try purge.step(in: database, deadline: .after(milliseconds: Self.databaseMilliseconds))
        }
        let count = free.count + tried.count
        let isProgress = count > 0 || held.count != heldBefore
        return (count, isProgress && (!isAll || held.isDue))
    }

    private func renewLanes(in database: Connection) throws {
        guard lanesUntil.hasPassed || lanes.isEmpty else { return }
        let until = Deadline.after(milliseconds: Self.renewMilliseconds)
        lanes = try table.claimLanes(in: database, deadline: .after(milliseconds: Self.databaseMilliseconds))
        lanesUntil = until
    }

    private func publish(_ rows: [OutboxTable.Row], _ publisher: Publisher, _ database: Connection) throws {
        let (sendable, others) = (rows.filter(\.envelope.fitsRoutingKey), rows.filter { !$0.envelope.fitsRoutingKey })
        FaultPoint.beforePublish.reach()
        let outcomes = try publisher.publish(
            sendable.map {
                Parcel(
                    message: $0.envelope.message(data: $0.data), exchange: configuration.exchange,
                    routingKey: $0.envelope.type)
            }, deadline: .after(milliseconds: Publisher.confirmMilliseconds)
        ) { blocked in
            log.failed("\(blocked)")
            // Another relay would send the same to a broker that takes it all in the end.
            try? renewLanes(in: database)
            return !stop.isRaised
        }
        FaultPoint.beforeMark.reach()
        try record(sendable + others, outcomes + others.map { _ in .unroutable }, database)
    }

    private func record(_ rows: [OutboxTable.Row], _ outcomes: [Publisher.Outcome], _ database: Connection) throws {
        let isRefused = outcomes.map { $0 == .refused || $0 == .unconfirmed }
        let counting = held.learn(rows, refused: isRefused)
        let settled = zip(zip(rows, outcomes), counting).filter(\.1).map(\.0)
        let sent = settled.filter { $0.1 == .confirmed }.map(\.0)
        let lost = settled.filter { $0.1 == .unroutable }.map(\.0)
        if !settled.isEmpty {
            try table.settle(
                sent: sent, unroutable: lost, in: database, deadline: .after(milliseconds: Self.databaseMilliseconds))
        }
        log.refused(zip(rows, isRefused).filter(\.1).map(\.0.envelope), exchange: configuration.exchange)
        log.unroutable(lost.map(\.envelope), exchange: configuration.exchange)
    }

    // MARK: Sessions

    private func openPublisher() throws -> Publisher {
        if let publisher, publisher.session.isOpen {
            // It says so here when it has gone, or takes nothing at the moment.
            while try publisher.session.next(deadline: .after(milliseconds: 0)) != nil {}
            guard let reason = publisher.session.blockedReason else { return publisher }
            throw BrokerError.blocked(place: publisher.session.place, reason: reason)
        }
        do {
            let deadline = Deadline.after(milliseconds: 5000)
            let session = try Session(configuration.broker, name: configuration.function, deadline: deadline)
            try session.declareExchange(configuration.exchange, deadline: deadline)
            let opened = try Publisher(session, deadline: deadline)
            publisher = opened
            return opened
        } catch {
            held.endPauses()
            throw error
        }
    }

    /// Its commits do not wait for the disk: a mark that a crash takes back lets an event be published twice, no more.
    private func openDatabase() throws -> Connection {
        if let database, database.isUsable { return database }
        lanes = []
        let opened = try Connection(
            url: configuration.databaseURL, application: configuration.function,
            options: [
                "synchronous_commit": "off", "timezone": "UTC", "jit": "off",
                "statement_timeout": String(Self.databaseMilliseconds),
            ], deadline: .after(milliseconds: 2000))
        database = opened
        return opened
    }

    private func waitForSignal(milliseconds: Int) {
        if publisher?.session.hasInput ?? false { return }
        var descriptors = [pipe.descriptor, stop.descriptor, publisher?.session.descriptor ?? -1].map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        poll(&descriptors, nfds_t(descriptors.count), Int32(milliseconds))
    }
}
