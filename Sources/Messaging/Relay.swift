import Glibc
internal import Postgres
internal import Runtime

/// Publishes the events of one service's outbox, as long as the process runs. Owned by one thread.
///
/// No transaction is open while it talks to the broker. A row is marked after the broker has confirmed its event; when
/// anything breaks in between, the row still waits and is published again under the same id.
final class Relay {
    private let configuration: RelayConfiguration
    private let table: OutboxTable
    private let pipe: SignalPipe
    private let stop: StopSignal
    private let journal: Journal
    private var database: Connection?
    private var publisher: Publisher?
    private var lanes: [Int] = []
    private var lanesUntil = Deadline.after(milliseconds: 0)
    private var purge = OutboxPurge()
    /// Subjects of which the broker refused an event: what follows it is not sent until it was taken.
    private var held: Set<String?> = []

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
        journal = Journal(function: configuration.function)
    }

    /// Returns when `stop` is raised and the batch in hand is done.
    func run() {
        var idle = Self.idleMilliseconds.lowerBound
        var trouble = Backoff(milliseconds: 50...2000)
        while !stop.isRaised {
            let next = Deadline.after(milliseconds: Self.gatherMilliseconds)
            do {
                let count = try sweep()
                journal.recovered()
                trouble.reset()
                if count == configuration.batchSize { continue }
                idle = count > 0 ? Self.idleMilliseconds.lowerBound : min(2 * idle, Self.idleMilliseconds.upperBound)
                waitForSignal(milliseconds: idle)
                usleep(UInt32(1000 * next.remainingMilliseconds))
            } catch {
                journal.failed("\(error)")
                stop.wait(milliseconds: trouble.next())
            }
        }
        if let database, database.isUsable {
            try? table.releaseLanes(in: database, deadline: .after(milliseconds: 1000))
        }
    }

    /// One look at the outbox.
    /// - Returns: how many events were taken.
    private func sweep() throws -> Int {
        pipe.drain()
        let publisher = try openPublisher()
        let database = try openDatabase()
        if lanesUntil.hasPassed || lanes.isEmpty {
            let until = Deadline.after(milliseconds: Self.renewMilliseconds)
            lanes = try table.claimLanes(in: database, deadline: .after(milliseconds: Self.databaseMilliseconds))
            lanesUntil = until
        }
        guard !lanes.isEmpty else { return 0 }
        let deadline = Deadline.after(milliseconds: Self.databaseMilliseconds)
        let rows = try table.waiting(lanes: lanes, in: database, deadline: deadline)
        if !rows.isEmpty { try publish(rows, publisher, database) }
        if lanes.contains(0) {
            try purge.step(in: database, deadline: .after(milliseconds: Self.databaseMilliseconds))
        }
        return rows.count
    }

    private func publish(_ waiting: [OutboxTable.Row], _ publisher: Publisher, _ database: Connection) throws {
        var begun: Set<String?> = []
        let rows = waiting.filter { !held.contains($0.envelope.subject) || begun.insert($0.envelope.subject).inserted }
        let (sendable, others) = (rows.filter(\.envelope.fitsRoutingKey), rows.filter { !$0.envelope.fitsRoutingKey })
        FaultPoint.beforePublish.reach()
        let outcomes = try publisher.publish(
            sendable.map {
                Parcel(
                    message: $0.envelope.message(data: $0.data), exchange: configuration.exchange,
                    routingKey: $0.envelope.type)
            }, deadline: .after(milliseconds: Publisher.confirmMilliseconds))
        FaultPoint.beforeMark.reach()
        try record(sendable + others, outcomes + others.map { _ in .unroutable }, database)
    }

    /// What follows a refused event of its subject is not marked: it goes out again after that one.
    private func record(_ rows: [OutboxTable.Row], _ outcomes: [Publisher.Outcome], _ database: Connection) throws {
        for row in rows { held.remove(row.envelope.subject) }
        let settled = zip(rows, outcomes).filter { row, outcome in
            if outcome == .refused { held.insert(row.envelope.subject) }
            return !held.contains(row.envelope.subject)
        }
        let lost = settled.filter { $0.1 == .unroutable }.map(\.0)
        try table.settle(
            sent: settled.filter { $0.1 == .confirmed }.map(\.0.position), unroutable: lost.map(\.position),
            in: database, deadline: .after(milliseconds: Self.databaseMilliseconds))
        journal.unroutable(lost.map(\.envelope), exchange: configuration.exchange)
        if outcomes.contains(.refused), let session = publisher?.session {
            throw session.fail(.notTaken(place: session.place, queue: "of \(configuration.exchange)"))
        }
    }

    // MARK: Sessions

    private func openPublisher() throws -> Publisher {
        if let publisher, publisher.session.isOpen {
            // It says so here when it has gone, or takes nothing at the moment.
            while try publisher.session.next(deadline: .after(milliseconds: 0)) != nil {}
            guard let reason = publisher.session.blockedReason else { return publisher }
            throw BrokerError.blocked(place: publisher.session.place, reason: reason)
        }
        let deadline = Deadline.after(milliseconds: 5000)
        let session = try Session(configuration.broker, name: configuration.function, deadline: deadline)
        try session.declareExchange(configuration.exchange, deadline: deadline)
        let opened = try Publisher(session, deadline: deadline)
        publisher = opened
        return opened
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
