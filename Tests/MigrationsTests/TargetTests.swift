import TestSupport
import Testing

@testable import Migrations

/// Targets and ranges on a line of five: a1, ab, ab1, b2, c3.
@Suite struct TargetTests {
    private let folder: MigrationFolder

    init() throws {
        let files = try TemporaryFolder()
        var previous = "none"
        for id in ["a1", "ab", "ab1", "b2", "c3"] {
            try files.write("\(id)_x.sql", Fixture.file(id, after: previous))
            previous = id
        }
        folder = try .load(files.path)
    }

    @Test(arguments: [
        ("head", 5), ("heads", 5), ("base", 0), ("current", 2), ("a1", 1), ("c", 5), ("ab", 2), ("ab1", 3), ("+1", 3),
        ("-2", 0), ("+0", 2), ("b2+1", 5), ("b-1", 3), ("head-5", 0), ("base+1", 1), ("+3", 5),
    ])
    func aTargetIsAPosition(target: String, position: Int) throws {
        #expect(try folder.position(of: target, from: 2) == position)
    }

    @Test(arguments: [
        ("zz", "Can't locate revision identified by 'zz'"),
        ("", "Can't locate revision identified by ''"),
        ("a", "Multiple revisions start with 'a': 'a1', 'ab', 'ab1'"),
        ("+4", "Relative revision +4 didn't produce 4 migrations"),
        ("-3", "Relative revision -3 didn't produce 3 migrations"),
        ("c3+1", "Relative revision c3+1 didn't produce 1 migrations"),
        (
            "+99999999999999999999",
            "Relative revision +99999999999999999999 didn't produce 99999999999999999999 migrations"
        ),
        ("+", "Can't locate revision identified by '+'"),
        ("a1+x", "Can't locate revision identified by 'a1+x'"),
    ])
    func aTargetThatIsNoneIsExplained(target: String, text: String) {
        let error = #expect(throws: MigrationError.self) { try folder.position(of: target, from: 2) }
        #expect(error?.description == text)
    }

    @Test func directionsAreHeld() throws {
        #expect(try folder.upgradeEnd("a1", from: 2) == 2)
        #expect(try folder.downgradeEnd("ab", from: 2) == 2)
        #expect(throws: MigrationError.self) { try folder.upgradeEnd("-1", from: 2) }
        #expect(throws: MigrationError.self) { try folder.downgradeEnd("+1", from: 2) }
        #expect(throws: MigrationError.self) { try folder.downgradeEnd("head", from: 2) }
    }

    @Test(arguments: [
        (":", "a1 ab ab1 b2 c3"), ("ab:b2", "ab ab1 b2"), ("ab1:", "ab1 b2 c3"), (":ab", "a1 ab"), (":+1", "a1"),
        ("ab:+1", "ab ab1"), ("-1:current", "a1 ab"), ("-2:", "ab1 b2 c3"), ("current:", "ab ab1 b2 c3"),
        ("base:base", ""),
    ])
    func aRangeOfHistoryHoldsItsStart(range: String, expected: String) throws {
        let found = try folder.revisions(in: range, current: "ab").map(\.id).joined(separator: " ")
        #expect(found == expected)
    }

    @Test(arguments: ["ab", "b2:ab", "zz:", ":zz"])
    func aRangeThatIsNoneIsRefused(range: String) {
        #expect(throws: MigrationError.self) { try folder.revisions(in: range, current: "ab") }
    }

    @Test func linesReadAsAlembicWritesThem() {
        #expect(folder.historyLine(folder.revisions[0]) == "<base> -> a1, step a1")
        #expect(folder.historyLine(folder.revisions[4], current: "c3") == "b2 -> c3 (head) (current), step c3")
        #expect(folder.label("c3") == "c3 (head)")
        #expect(folder.label("b2") == "b2")
    }
}
