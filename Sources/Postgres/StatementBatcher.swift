public import Runtime

/// Runs what several threads ask at the same moment as one statement: one round trip, one commit and one flush of the
/// server's log in place of many.
///
/// A request that comes while nothing runs goes at once and alone. Those that come while statements run wait for the
/// next, and the first of them takes the others along: the more is asked, the more goes together. Before a statement goes
/// its thread lets those go first that have a request in hand and wait for a processor; for more company nobody waits.
/// There is no thread behind it; those who ask do the work.
///
/// A statement that the server refuses has done nothing for anybody, so each of its requests is then asked alone and
/// beside the others: none fails, or waits for a lock, for another's sake. Nor is one kept much longer than its deadline
/// for another's.
public final class StatementBatcher<Request: Sendable, Answer: Sendable>: Sendable {
    /// Runs a batch in one statement; the answers in the requests' order.
    public typealias Run = @Sendable (Batch) throws -> [Answer]

    /// The requests of one statement.
    public struct Batch: Sendable {
        public let requests: [Request]
        /// The last of the requests' deadlines, so that none is cut short by another's.
        public let deadline: Deadline
        /// Whether it runs in a lane, for whose end others wait or may come to wait: it should be refused soon rather
        /// than wait for a lock that somebody holds. Its requests come again, each in a batch that holds no lane.
        public let holdsLane: Bool

        @inlinable init(requests: [Request], deadline: Deadline, holdsLane: Bool) {
            self.requests = requests
            self.deadline = deadline
            self.holdsLane = holdsLane
        }
    }

    @usableFromInline let lanes: Int
    @usableFromInline let largest: Int
    @usableFromInline let runsOverdue: Bool
    @usableFromInline let run: Run
    @usableFromInline let state = Lock(State())

    @usableFromInline struct State {
        @usableFromInline var running = 0
        @usableFromInline var waiting: [Ticket] = []

        @inlinable init() {}

        /// Those who wait first.
        @inlinable mutating func takeWaiting(atMost count: Int, dueBy last: Deadline = .never) -> [Ticket] {
            let taken = Array(waiting.prefix(count).prefix { $0.deadline <= last })
            waiting.removeFirst(taken.count)
            return taken
        }

        @inlinable mutating func takeOverdue() -> [Ticket] {
            let now = Deadline.after(milliseconds: 0)
            guard waiting.contains(where: { $0.deadline <= now }) else { return [] }
            defer { waiting.removeAll { $0.deadline <= now } }
            return waiting.filter { $0.deadline <= now }
        }
    }

    @usableFromInline enum News {
        /// Runs the next statement, with whom it finds waiting.
        case lead
        case alone
        case finished(Result<Answer, any Error>)
    }

    @usableFromInline final class Ticket: Sendable {
        @usableFromInline let request: Request
        @usableFromInline let deadline: Deadline
        @usableFromInline let news = Lock<[News]>([])
        @usableFromInline let arrival = Semaphore()

        @inlinable init(_ request: Request, deadline: Deadline) {
            self.request = request
            self.deadline = deadline
        }

        @inlinable func tell(_ news: News) {
            self.news.withLock { $0.append(news) }
            arrival.signal()
        }

        @inlinable func waitForNews() -> News {
            arrival.wait()
            return news.withLock { $0.removeFirst() }
        }
    }

    /// - Parameters:
    ///   - lanes: statements that may run at the same time. Two keep the server busy while answers are written; more
    ///     make the statements smaller.
    ///   - largest: most requests in one statement.
    ///   - runsOverdue: whether a request whose deadline passes while it waits is run all the same, within a second. Else
    ///     it is answered as for an unreachable database: its client has gone, and may have asked for something else since.
    ///   - run: runs them. It is called from several threads at once.
    @inlinable public init(lanes: Int = 2, largest: Int = 32, runsOverdue: Bool = false, run: @escaping Run) {
        self.lanes = lanes
        self.largest = largest
        self.runsOverdue = runsOverdue
        self.run = run
    }

    /// Waits for the answer to one request.
    /// - Throws: what `run` throws. An unreachable database is told to all who wait at that moment, unless whoever found
    ///   it so had too little time left to open a session.
    @inlinable public func answer(_ request: Request, deadline: Deadline) throws -> Answer {
        let ticket = Ticket(request, deadline: deadline)
        let goesAtOnce = state.withLock { state in
            guard state.running == lanes else {
                state.running += 1
                return true
            }
            state.waiting.append(ticket)
            return false
        }
        switch goesAtOnce ? .lead : ticket.waitForNews() {
        case .lead: return try lead(ticket)
        case .alone: return try runAlone(ticket)
        case .finished(let result): return try result.get()
        }
    }

    @inlinable func lead(_ ticket: Ticket) throws -> Answer {
        giveWay()
        let others = state.withLock {
            $0.takeWaiting(atMost: largest - 1, dueBy: ticket.deadline.adding(milliseconds: Self.companyMilliseconds))
        }
        let together = [ticket] + others
        let deadline = deadline(of: together)
        let hasTimeForSession = deadline >= .after(milliseconds: Database.connectMilliseconds)
        let outcome = Result {
            try run(Batch(requests: together.map { $0.request }, deadline: deadline, holdsLane: true))
        }
        if hasTimeForSession, case .failure(let error as PostgresError) = outcome, case .unavailable = error {
            // They would find the same, one after the other.
            for waiting in state.withLock({ $0.takeWaiting(atMost: .max) }) { waiting.tell(.finished(.failure(error))) }
        }
        // The next statement runs while these answers are on their way.
        handOver()
        switch outcome {
        case .success(let answers):
            precondition(answers.count == together.count, "one answer for each request")
            for (other, answer) in zip(others, answers.dropFirst()) { other.tell(.finished(.success(answer))) }
            return answers[0]
        case .failure(let error as PostgresError) where error.sqlState != nil:
            for other in others { other.tell(.alone) }
            return try runAlone(ticket)
        case .failure(let error):
            for other in others { other.tell(.finished(.failure(error))) }
            throw error
        }
    }

    @inlinable func runAlone(_ ticket: Ticket) throws -> Answer {
        try run(Batch(requests: [ticket.request], deadline: deadline(of: [ticket]), holdsLane: false))[0]
    }

    @inlinable func deadline(of tickets: [Ticket]) -> Deadline {
        let last = tickets.map { $0.deadline }.reduce(tickets[0].deadline, max)
        return runsOverdue ? max(last, .after(milliseconds: Self.overdueMilliseconds)) : last
    }

    @inlinable func handOver() {
        let (next, overdue) = state.withLock { state in
            let overdue = runsOverdue ? [] : state.takeOverdue()
            let next = state.takeWaiting(atMost: 1).first
            if next == nil { state.running -= 1 }
            return (next, overdue)
        }
        next?.tell(.lead)
        for ticket in overdue {
            ticket.tell(.finished(.failure(PostgresError.unavailable(reason: "no time was left"))))
        }
    }

    /// What a statement gets at least where requests are run whose deadline has passed: enough for a session.
    @inlinable static var overdueMilliseconds: Int { 1000 }

    /// By how much a request may be kept past its deadline for another's: the gateway waits two seconds longer.
    @inlinable static var companyMilliseconds: Int { 1500 }
}
