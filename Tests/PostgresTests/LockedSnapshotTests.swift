import Postgres
import Runtime
import TestSupport
import Testing

/// Snapshots with tables that somebody truncates.
@Suite struct LockedSnapshotTests {
    private let database: Database
    private let outsider: Connection
    private let observer: Connection

    init() throws {
        let url = try PostgresServer.shared.freshDatabase()
        database = Database(url: url, application: "snapshot")
        outsider = try PostgresServer.shared.connect(to: url)
        observer = try PostgresServer.shared.connect(to: url)
        try outsider.run(script: "CREATE TABLE item (n integer); INSERT INTO item VALUES (1)", deadline: .soon)
    }

    private func isWaiting(_ statement: String) throws -> Bool {
        try observer.execute(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock' AND position(\(statement) IN query) > 0
            """, deadline: .soon)[0].decode(Int.self) > 0
    }

    @Test func whoWaitsToTruncateKeepsNobodyFromReading() throws {
        let deadline = Deadline.soon
        var truncation: Background<Void>?
        let seen = Lock([Int]())
        try database.withSnapshot(locking: ["item"], deadline: deadline) { snapshot in
            truncation = Background { [database] in
                _ = try database.execute("TRUNCATE item", deadline: deadline)
            }
            try Eventually.happens("the truncation to wait") { try isWaiting("TRUNCATE") }
            try (0..<2).inParallel { _ in
                let count = try snapshot.read(deadline: deadline) { reader in
                    try reader.execute("SELECT count(*) FROM item", deadline: deadline)[0].decode(Int.self)
                }
                seen.withLock { $0.append(count) }
            }
        }
        #expect(seen.withLock { $0 } == [1, 1])
        try truncation?.value()
        #expect(try database.execute("SELECT count(*) FROM item", deadline: .soon)[0].decode(Int.self) == 0)
    }

    @Test func whatIsCommittedWhileItWaitsIsSeen() throws {
        try outsider.run(script: "BEGIN; TRUNCATE item; INSERT INTO item VALUES (2)", deadline: .soon)
        let deadline = Deadline.soon
        let work = Background { [database] in
            try database.withSnapshot(locking: ["item"], deadline: deadline) { snapshot in
                try snapshot.read(deadline: deadline) { reader in
                    try reader.execute("SELECT n FROM item", deadline: deadline).map { try $0.decode(Int.self) }
                }
            }
        }
        try Eventually.happens("it to wait") { try isWaiting("LOCK TABLE") }
        try outsider.run(script: "COMMIT", deadline: .soon)
        #expect(try work.value() == [2])
    }

    @Test("who got no lock by the deadline is told so, not that the database is away")
    func noLockByTheDeadline() throws {
        try outsider.run(script: "BEGIN; LOCK TABLE item", deadline: .soon)
        let error = #expect(throws: PostgresError.self) {
            try database.read(locking: ["item"], deadline: .after(milliseconds: 1000)) { _ in }
        }
        #expect(error?.sqlState == "55P03", "\(error.map { "\($0)" } ?? "")")
    }

    @Test func whatIsRefusedALockOnceItIsReadIsNotReadAgain() throws {
        var reads = 0
        let error = #expect(throws: PostgresError.self) {
            try database.withSnapshot(locking: ["item"], deadline: .soon) { snapshot in
                try snapshot.read(deadline: .soon) { reader in
                    reads += 1
                    try reader.run(script: "DO 'BEGIN RAISE lock_not_available; END'", deadline: .soon)
                }
            }
        }
        #expect(error?.sqlState == "55P03" && reads == 1)
    }
}
