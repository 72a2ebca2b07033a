import Migrations
import TestSupport
import Testing

@Suite struct CheckTests {
    @Test func everythingInOrderFindsNothing() throws {
        let fixture = try Fixture()
        try fixture.migrator().upgrade()
        #expect(try fixture.migrator().check() == [])
    }

    @Test func anEmptyDatabaseIsBehindAndStaysEmpty() throws {
        let fixture = try Fixture()
        #expect(try fixture.migrator().check() == [.behind(current: nil, head: Fixture.third)])
        #expect(try fixture.schema() == [])
    }

    @Test func editedAndMissingFilesAreNamedTogether() throws {
        let fixture = try Fixture()
        try fixture.migrator().upgrade()
        let file = "\(fixture.path)/\(Fixture.approvedModel)"
        let text = try fixture.project.read("migrations/subscriptions/\(Fixture.approvedModel)")
        try fixture.write(Fixture.approvedModel, text + "-- one byte more\n")
        try fixture.project.remove("migrations/subscriptions/\(Fixture.third)_step.sql")
        let findings = try fixture.migrator().check()
        #expect(
            findings == [
                .edited(path: file, revision: Fixture.first),
                .missing(path: "\(fixture.path)/\(Fixture.third)_step.sql", revision: Fixture.third),
                .unknown(revision: Fixture.third, folder: fixture.path),
            ])
        #expect(findings.allSatisfy { $0.description.contains(fixture.path) })
    }

    @Test func stampAcceptsAnEdit() throws {
        let fixture = try Fixture()
        try fixture.migrator().upgrade()
        try fixture.write(Fixture.third, after: Fixture.second, up: "SELECT 1;", down: "")
        #expect(try fixture.migrator().check().count == 1)
        try fixture.migrator().stamp("head")
        #expect(try fixture.migrator().check() == [])
    }
}
