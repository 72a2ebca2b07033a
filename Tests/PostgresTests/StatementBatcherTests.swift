import Runtime
import Synchronization
import TestSupport
import Testing

@testable import Postgres

/// What a batcher ran, without a database: the first statement lasts until the test lets it end.
private final class Statements: Sendable {
    let sizes = Lock<[Int]>([])
    let firstMayEnd = Gate()
    let firstRuns = Gate()

    func begin(_ batch: StatementBatcher<Int, String>.Batch) {
        let isFirst = sizes.withLock { sizes in
            sizes.append(batch.requests.count)
            return sizes.count == 1
        }
        guard isFirst else { return }
        firstRuns.open()
        firstMayEnd.wait()
    }

    /// Asks 0 to `count` - 1 of a batcher with one lane; the statement of 0 ends when all others wait for the next.
    func ask(
        _ count: Int, _ batcher: StatementBatcher<Int, String>, until deadlines: [Deadline]? = nil
    ) throws -> [Result<String, any Error>] {
        let answers = Background {
            try concurrently(count) { [self] number in
                if number > 0 { firstRuns.wait() }
                return Result { try batcher.answer(number, deadline: deadlines?[number] ?? .soon) }
            }
        }
        defer { firstMayEnd.open() }
        try Eventually.happens("all but the first to wait") {
            batcher.state.withLock { $0.waiting.count } == count - 1
        }
        firstMayEnd.open()
        return try answers.value()
    }
}

@Suite struct StatementBatcherTests {
    private let statements = Statements()

    private func refusal() throws -> PostgresError {
        let connection = try PostgresServer.shared.connect(to: PostgresServer.shared.freshDatabase())
        return try #require(throws: PostgresError.self) { try connection.execute("SELECT 1 / 0", deadline: .soon) }
    }

    @Test func everyoneGetsTheAnswerToTheirOwnRequest() throws {
        let batcher = StatementBatcher<Int, String>(lanes: 1, largest: 8) { [statements] batch in
            let requests = batch.requests
            statements.begin(batch)
            return requests.map { "answer \($0)" }
        }
        let answers = try statements.ask(40, batcher).map { try $0.get() }
        #expect(answers == (0..<40).map { "answer \($0)" })
        // The first goes at once, without waiting for company; those that wait go together.
        #expect(statements.sizes.withLock { $0 } == [1, 8, 8, 8, 8, 7])
    }

    @Test func noneFailsForAnothersSake() throws {
        let refused = try refusal()
        let batcher = StatementBatcher<Int, String>(lanes: 1) { [statements] batch in
            let requests = batch.requests
            statements.begin(batch)
            if requests.contains(7) { throw refused }
            #expect(batch.holdsLane || requests.count == 1)
            return requests.map { "answer \($0)" }
        }
        let answers = try statements.ask(20, batcher)
        for (number, answer) in answers.enumerated() where number != 7 {
            #expect(try answer.get() == "answer \(number)")
        }
        #expect(throws: PostgresError.self) { try answers[7].get() }
    }

    @Test func noneIsCutShortByAnothersDeadline() throws {
        let deadlines = (0..<40).map { Deadline.after(milliseconds: 120_000 + 1000 * ($0 * 7 % 40)) }
        let batcher = StatementBatcher<Int, String>(lanes: 1, largest: 8) { [statements] batch in
            let requests = batch.requests
            statements.begin(batch)
            let last = requests.map { deadlines[$0] }.max()
            return requests.map { _ in batch.deadline == last ? "in time" : "cut short" }
        }
        let answers = try statements.ask(40, batcher, until: deadlines).map { try $0.get() }
        #expect(answers.allSatisfy { $0 == "in time" })
    }

    @Test func noneIsKeptMuchLongerThanItsDeadlineForAnothers() throws {
        let deadlines = (0..<40).map { Deadline.after(milliseconds: 120_000 + 1000 * ($0 * 7 % 40)) }
        let batcher = StatementBatcher<Int, String>(lanes: 1, largest: 8) { [statements] batch in
            let requests = batch.requests
            statements.begin(batch)
            let first = deadlines[requests[0]]
            return requests.map { _ in batch.deadline <= first.adding(milliseconds: 1500) ? "in time" : "kept" }
        }
        let answers = try statements.ask(40, batcher, until: deadlines).map { try $0.get() }
        #expect(answers.allSatisfy { $0 == "in time" })
    }

    @Test("whose deadline passes while it waits is not run, unless it is worth it then", arguments: [false, true])
    func overdue(isRun: Bool) throws {
        let batcher = StatementBatcher<Int, String>(lanes: 1, runsOverdue: isRun) { [statements] batch in
            let requests = batch.requests
            statements.begin(batch)
            // As a database would.
            if batch.deadline.hasPassed { throw PostgresError.unavailable(reason: "no time was left") }
            return requests.map { "answer \($0)" }
        }
        let deadlines = [Deadline.soon, .after(milliseconds: 0), .soon]
        let answers = try statements.ask(3, batcher, until: deadlines)
        #expect(try answers[2].get() == "answer 2")
        if isRun {
            #expect(try answers[1].get() == "answer 1")
        } else {
            let error = try #require(throws: PostgresError.self) { try answers[1].get() }
            #expect("\(error)".contains("no time was left"))
            #expect(statements.sizes.withLock { $0 } == [1, 1])
        }
    }

    /// What may have taken effect is not sent again.
    @Test func anUnknownOutcomeIsToldAndNotRepeated() throws {
        let times = Atomic(0)
        let batcher = StatementBatcher<Int, String>(lanes: 1) { [statements] batch in
            let requests = batch.requests
            statements.begin(batch)
            times.add(requests.count, ordering: .relaxed)
            if !requests.contains(0) { throw PostgresError.connectionLost(statement: "s", reason: "gone") }
            return requests.map { "answer \($0)" }
        }
        let answers = try statements.ask(20, batcher)
        #expect(try answers[0].get() == "answer 0")
        for answer in answers.dropFirst() { #expect(throws: PostgresError.self) { try answer.get() } }
        #expect(times.load(ordering: .relaxed) == 20, "each was run once")
    }

    @Test func anUnreachableDatabaseIsToldToAllWhoWait() throws {
        let batcher = StatementBatcher<Int, String>(lanes: 1, largest: 2) { [statements] batch in
            statements.begin(batch)
            throw PostgresError.unavailable(reason: "nobody there")
        }
        for answer in try statements.ask(20, batcher) { #expect(throws: PostgresError.self) { try answer.get() } }
        #expect(statements.sizes.withLock { $0 } == [1], "not one after the other, each with its own time-out")
    }

    @Test func whoHasNoTimeForASessionSpeaksForNobodyElse() throws {
        let batcher = StatementBatcher<Int, String>(lanes: 1) { [statements] batch in
            let requests = batch.requests
            statements.begin(batch)
            if batch.deadline.hasPassed { throw PostgresError.unavailable(reason: "no session in time") }
            return requests.map { "answer \($0)" }
        }
        let deadlines = [Deadline.after(milliseconds: 0)] + Array(repeating: .soon, count: 19)
        let answers = try statements.ask(20, batcher, until: deadlines)
        #expect(throws: PostgresError.self) { try answers[0].get() }
        for (number, answer) in answers.enumerated().dropFirst() { #expect(try answer.get() == "answer \(number)") }
    }

    @Test func afterAFailureItGoesOn() throws {
        let batcher = StatementBatcher<Int, String>(lanes: 1) { batch in
            if batch.requests == [0] { throw PostgresError.unavailable(reason: "nobody there") }
            return batch.requests.map { "answer \($0)" }
        }
        #expect(throws: PostgresError.self) { try batcher.answer(0, deadline: .soon) }
        #expect(try batcher.answer(1, deadline: .soon) == "answer 1")
    }
}
