import Migrations
import TestSupport
import Testing

/// What the files say about themselves and each other, without a database.
@Suite struct FolderTests {
    private func problems(_ files: [String: String]) throws -> [String] {
        let folder = try TemporaryFolder()
        for (name, text) in files { try folder.write(name, text) }
        let result = Result { () throws(MigrationError) in try MigrationFolder.load(folder.path) }
        guard case .failure(.invalidFiles(let problems)) = result else {
            _ = try result.get()
            return []
        }
        return problems.map { String($0.description.dropFirst(folder.path.utf8.count + 1)) }
    }

    @Test func everyServiceHasTheSameTablesForEvents() throws {
        let scripts = try EventTables.scripts()
        #expect(Set(scripts.keys) == ["customers", "subscriptions"])
        #expect(Set(scripts.values).count == 1)
    }

    @Test func filesAreOrderedByWhatTheyFollow() throws {
        let folder = try TemporaryFolder()
        try folder.write("a1_last.sql", Fixture.file("a1", after: "c3"))
        try folder.write("c3_middle.sql", Fixture.file("c3", after: "b2"))
        try folder.write("b2_first.sql", Fixture.file("b2", after: "none"))
        try folder.write("README", "no migration")
        let loaded = try MigrationFolder.load(folder.path)
        #expect(loaded.revisions.map(\.id) == ["b2", "c3", "a1"])
        #expect(loaded.head == "a1")
        #expect(loaded.revisions[0].downRevision == nil)
        #expect(loaded.revisions[0].message == "step b2")
    }

    @Test func whyARevisionCannotBeWritten() throws {
        let folder = try TemporaryFolder()
        try folder.write("gone/a1_x.sql", Fixture.file("a1", after: "none"))
        let loaded = try MigrationFolder.load(folder.path + "/gone")
        try folder.remove("gone")
        let error = #expect(throws: MigrationError.self) { try loaded.addRevision(message: "y", id: "b2") }
        #expect(error?.description == "\(folder.path)/gone/b2_y.sql: cannot be written: No such file or directory")
    }

    @Test func carriageReturnsAndBareMinimumAreRead() throws {
        let text = "-- message: m\r\n--revision:a1\r\n-- down revision: none\r\n-- migrate: up\r\n-- migrate: down"
        #expect(try problems(["a1_.sql": text]) == [])
        #expect(try problems(["a1_.sql": "\u{FEFF}" + text]) == [])
    }

    @Test func everyProblemOfAFileIsNamedAtItsLine() throws {
        let text = """
            -- revision: a1
            -- revision: a2
            SELECT 1;
            -- migrate: up
            SELECT 'open;
            -- migrate: sideways
            """
        #expect(
            try problems(["b1_x.sql": text]) == [
                "b1_x.sql:2: a second “-- revision:”, the first is at line 1",
                "b1_x.sql:3: only comments may stand above “-- migrate: up”",
                "b1_x.sql:6: “-- migrate: sideways” is not a section: there are “-- migrate: up” and “-- migrate: down”",
                "b1_x.sql:1: the header says revision a1, the file's name says otherwise: name it a1_….sql",
                "b1_x.sql:1: has no “-- down revision: …” in its header",
                "b1_x.sql:1: has no “-- message: …” in its header",
                "b1_x.sql:5: the quote ' is never closed",
                "b1_x.sql:1: has no part “-- migrate: down”",
            ])
    }

    @Test func problemsOfAllFilesComeTogether() throws {
        let missingPart = "-- revision: a1\n-- down revision: none\n-- message: m\n-- migrate: up\n"
        let found = try problems([
            "a1_x.sql": missingPart, "b2_x.sql": Fixture.file("head", after: "a-1", up: "COMMIT;"),
        ])
        #expect(
            found == [
                "a1_x.sql:1: has no part “-- migrate: down”",
                "b2_x.sql:1: “head” is not a revision: 1 to 32 letters and digits, and not a word such as head",
                "b2_x.sql:2: “a-1” is neither a revision nor none",
                "b2_x.sql:6: COMMIT does not belong here: each part runs in one transaction that the tool opens",
            ])
    }

    @Test func partsInTheWrongOrderAreRefused() throws {
        let text = "-- revision: a1\n-- down revision: none\n-- message: m\n-- migrate: down\n-- migrate: up\n"
        #expect(try problems(["a1_x.sql": text]) == ["a1_x.sql:4: the up part comes before the down part"])
    }

    @Test func revisionsThatAreNoLineAreRefused() throws {
        let found = try problems([
            "a1_x.sql": Fixture.file("a1", after: "none"), "a1_y.sql": Fixture.file("a1", after: "none"),
            "b2_x.sql": Fixture.file("b2", after: "a1"), "b3_x.sql": Fixture.file("b3", after: "a1"),
            "c1_x.sql": Fixture.file("c1", after: "c2"), "c2_x.sql": Fixture.file("c2", after: "c1"),
            "d1_x.sql": Fixture.file("d1", after: "gone"), "e1_x.sql": Fixture.file("e1", after: "none"),
        ])
        #expect(found.count == 5)
        #expect(found.contains { $0.hasPrefix("a1_y.sql:1: revision a1 is also in") })
        #expect(found.contains { $0.hasPrefix("b3_x.sql:2: Multiple head revisions are present") })
        #expect(found.contains { $0.hasPrefix("e1_x.sql:2: Multiple head revisions are present") })
        #expect(found.contains("c1_x.sql:2: the down revisions go round in a circle: c1 -> c2 -> c1"))
        #expect(found.contains("d1_x.sql:2: down revision gone is in no file of this folder"))
    }

    @Test func aNewRevisionFollowsTheHead() throws {
        let folder = try TemporaryFolder()
        let first = try MigrationFolder.load(folder.path).addRevision(message: "Add Ünï code, quickly")
        #expect(first.hasSuffix("_add_ünï_code_quickly.sql"))
        let second = try MigrationFolder.load(folder.path).addRevision(
            message: "words that go on and on and on and on and on", id: "b2")
        #expect(second.hasSuffix("/b2_words_that_go_on_and_on_and_on_and_on_.sql"))
        let loaded = try MigrationFolder.load(folder.path)
        #expect(loaded.revisions.count == 2)
        #expect(loaded.revisions[0].id.wholeMatch(of: /[0-9a-f]{12}/) != nil)
        #expect(loaded.head == "b2")
        #expect(loaded.revisions[1].downRevision == loaded.revisions[0].id)
        for (message, id) in [("m", "b2"), ("m", "base"), ("m", "a-1"), (" ", "c3")] {
            #expect(throws: MigrationError.self) { try loaded.addRevision(message: message, id: id) }
        }
    }
}
