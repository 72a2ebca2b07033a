import Postgres
import TestSupport
import Testing

@testable import Messaging

@Suite struct OutboxMarkTests {
    @Test("an event that got the position of one which somebody has truncated is still to be sent")
    func positionsBeginAgain() throws {
        let script = try #require(try EventTables.scripts().values.first)
        let session = try PostgresServer.shared.connect(to: PostgresServer.shared.freshDatabase())
        try session.run(script: script, deadline: .soon)
        let event = "INSERT INTO outbox (type, subject, sequence, data) VALUES ('ledger.entry', 's', 1, '{}')"
        let table = OutboxTable(service: "test", holder: "relay", batchSize: 10)
        func waiting() throws -> [OutboxTable.Row] {
            try table.waiting(lanes: Array(0..<8), excluded: [], in: session, deadline: .soon)
        }
        try session.run(script: event, deadline: .soon)
        let sent = try waiting()
        try session.run(script: "TRUNCATE outbox RESTART IDENTITY; \(event)", deadline: .soon)
        #expect(try waiting().map(\.position) == sent.map(\.position))
        try table.settle(sent: sent, unroutable: [], in: session, deadline: .soon)
        #expect(try waiting().count == 1)
        try table.settle(sent: waiting(), unroutable: [], in: session, deadline: .soon)
        #expect(try waiting().isEmpty)
    }
}
