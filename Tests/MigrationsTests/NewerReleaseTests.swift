import Migrations
import TestSupport
import Testing

/// A database that a newer release has migrated, and an older checkout.
@Suite struct NewerReleaseTests {
    @Test func whoeverFindsANewerDatabaseIsNotToldToStampIt() throws {
        let fixture = try Fixture()
        try fixture.migrator().upgrade()
        try fixture.project.remove("migrations/subscriptions/\(Fixture.third)_step.sql")
        let newer = #expect(throws: MigrationError.self) { try fixture.migrator().upgrade() }
        #expect(newer?.description.contains("stamp") == false, "\(newer?.description ?? "")")
        #expect(newer?.description.contains("a newer release took it there") == true)
        // Nothing says that this one was ever where the files are.
        _ = try fixture.column("DELETE FROM taproom_migration")
        let unknown = #expect(throws: MigrationError.self) { try fixture.migrator().upgrade() }
        #expect(unknown?.description.contains("restore the file, or stamp --purge") == true)
    }
}
