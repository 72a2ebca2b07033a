import Migrations
import Postgres
import Runtime
import TestSupport
import Testing

@testable import Customers

/// What docs/reliability.md says of backups.
@Suite struct BackupTests {
    @Test func aRestoredDatabaseGoesOnWhereTheBackupWasMade() throws {
        let register = try Register()
        let made = try register.create("Zoe@example.com")
        let gone = try register.create("gone@example.com", .away)
        _ = try register.archive(gone.id)
        try register.buy("zoe@example.com", at: "2026-11-01T10:00:00Z")

        let server = PostgresServer.shared
        let restored = Register(url: try server.restored(register.url))
        #expect(try server.contents(of: restored.url) == server.contents(of: register.url))
        let migrator = try restored.migrator()
        #expect(try migrator.isAtHead() && migrator.check() == [])

        #expect(try restored.customer(gone.id) == register.customer(gone.id))
        #expect(try restored.found("münch") == ["Zoe@example.com"])
        #expect(try restored.move(made.id, .away).version == 3)
        #expect(problem { _ = try restored.create("GONE@example.com") }?.slug == "email-taken")
        _ = try restored.create()
        #expect(try restored.list().joined().map(\.email.text).count == 3)
        #expect(
            try restored.count("SELECT max(sequence) FROM outbox WHERE subject = \(made.id)") == 3)
        #expect(throws: PostgresError.self) { try restored.run("UPDATE customer_event SET type = type") }
    }
}
