import Postgres
import Runtime
import TestSupport
import Testing

@Suite struct StatementTests {
    private let connection: Connection

    init() throws {
        connection = try PostgresServer.shared.connect(to: PostgresServer.shared.freshDatabase())
    }

    private func refusal(_ sql: SQL) throws -> PostgresError.Refusal {
        let error = try #require(throws: PostgresError.self) { try connection.execute(sql, deadline: .soon) }
        guard case .refused(let refusal) = error else { throw error }
        return refusal
    }

    // MARK: Values

    @Test(
        arguments: [
            "", "'", "''", "\"", "\\", "\\'; DROP TABLE club; --", "$1", "${x}", "%s", "a\nb\r\tc",
            "\u{1F37A} é 漢 \u{202E}",
            "\u{1}\u{7F}", "NULL", "{}", String(repeating: "x", count: 200_000),
        ])
    func aTextIsAValueWhateverItHolds(_ text: String) throws {
        let rows = try connection.execute("SELECT \(text)::text, length(\(text)::text)", deadline: .soon)
        let (value, length) = try rows[0].decode(String.self, Int.self)
        #expect(value == text)
        #expect(length == text.unicodeScalars.count)
    }

    @Test func anArrayKeepsItsElementsWhateverTheyHold() throws {
        let texts: [String?] = ["", "NULL", nil, "a,b", "{}", "\"", "\\", "\\\"", " x ", "é 漢 \u{1F37A}", "a\nb"]
        let rows = try connection.execute(
            "SELECT t FROM unnest(\(texts)::text[]) WITH ORDINALITY AS r (t, place) ORDER BY place", deadline: .soon)
        #expect(try rows.map { try $0.decode(String?.self) } == texts)
        let numbers: [Int?] = [3, nil, -1]
        let sums = try connection.execute(
            "SELECT cardinality(\(numbers)::integer[]), cardinality(\([Int]())::integer[])", deadline: .soon)
        #expect(try sums[0].decode(Int.self, Int.self) == (3, 0))
    }

    @Test func valuesOfEveryKindComeBack() throws {
        let none: String? = nil
        let noNumber: Int? = nil
        let rows = try connection.execute(
            """
            SELECT \(Int.min)::bigint, \(Int.max)::bigint, \(true), \(false), \(1.5)::float8, \(none)::text,
                   \(noNumber)::integer, \(String?("x"))::text
            """, deadline: .soon)
        let (least, greatest, yes, no, number, absent, absentNumber, present) = try rows[0].decode(
            Int.self, Int.self, Bool.self, Bool.self, Double.self, String?.self, Int?.self, String?.self)
        #expect(least == .min && greatest == .max)
        #expect(yes && !no)
        #expect(number == 1.5)
        #expect(absent == nil && absentNumber == nil)
        #expect(present == "x")
    }

    /// libpq would cut the text at the NUL without a word.
    @Test func aTextWithNULIsNotBoundInPart() throws {
        #expect(try refusal("SELECT \("a\0b")::text").sqlState == "22021")
        #expect(connection.isUsable)
    }

    @Test func aTimestampIsShownAsRFC3339() throws {
        let rows = try connection.execute(
            "SELECT timestamp '2026-11-21 03:04:05.678', timestamp '2026-11-21 00:00:00', NULL::timestamp",
            deadline: .soon)
        let (instant, midnight, none) = try rows[0].decode(Timestamp.self, Timestamp.self, Timestamp?.self)
        #expect(instant.text == "2026-11-21T03:04:05.678Z")
        #expect(midnight.text == "2026-11-21T00:00:00Z")
        #expect(none == nil)
        let back = try connection.execute("SELECT \(instant)::timestamp = '2026-11-21 03:04:05.678'", deadline: .soon)
        #expect(try back[0].decode(Bool.self))
    }

    @Test func aTimestampThatRFC3339HasNoFormForStaysAsItIs() throws {
        let texts = ["0044-03-15 00:00:00 BC", "0044-03-15 01:02:03.5 BC", "infinity", "-infinity"]
        for text in texts {
            let rows = try connection.execute("SELECT \(text)::timestamp", deadline: .soon)
            let shown = try rows[0].decode(Timestamp.self)
            #expect(shown.text == text)
            let back = try connection.execute("SELECT \(shown)::timestamp = \(text)::timestamp", deadline: .soon)
            #expect(try back[0].decode(Bool.self))
        }
    }

    // MARK: Decoding

    @Test func whatDoesNotFitIsAFaultOfOursThatNamesTheColumn() throws {
        func fault(_ sql: SQL, _ body: (Row) throws -> Void) throws -> String {
            let rows = try connection.execute(sql, deadline: .soon)
            let error = try #require(throws: PostgresError.self) { try body(rows[0]) }
            guard case .unexpectedResult(_, let reason) = error else { throw error }
            #expect(error.problem.status == 500)
            return reason
        }
        #expect(try fault("SELECT NULL::text AS city") { _ = try $0.decode(String.self) }.contains("city"))
        #expect(try fault("SELECT 'x' AS size") { _ = try $0.decode(Int.self) }.contains("size"))
        #expect(try fault("SELECT 1.5 AS size") { _ = try $0.decode(Int?.self) }.contains("size"))
        #expect(try fault("SELECT 9223372036854775808 AS size") { _ = try $0.decode(Int.self) }.contains("size"))
        #expect(try fault("SELECT 1, 2") { _ = try $0.decode(Int.self) }.contains("2 columns"))
        #expect(try fault("SELECT 1") { _ = try $0.decode(Int.self, Int.self) }.contains("1 columns"))
    }

    @Test func rowsAreACollection() throws {
        let rows = try connection.execute("SELECT n FROM generate_series(1, 5) n", deadline: .soon)
        let numbers = try rows.map { row throws -> Int in try row.decode(Int.self) }
        #expect(numbers == [1, 2, 3, 4, 5])
        #expect(rows.count == 5 && !rows.isEmpty)
        #expect(try connection.execute("SELECT 1 WHERE false", deadline: .soon).isEmpty)
        #expect(try connection.execute("SELECT", deadline: .soon).count == 1)
    }

    @Test func countsTheRowsThatWereTouched() throws {
        try connection.run(script: "CREATE TABLE item (n integer)", deadline: .soon)
        #expect(try connection.execute("INSERT INTO item SELECT generate_series(1, 7)", deadline: .soon).affected == 7)
        #expect(try connection.execute("UPDATE item SET n = n WHERE n > \(3)", deadline: .soon).affected == 4)
        #expect(try connection.execute("DELETE FROM item WHERE n = \(99)", deadline: .soon).affected == 0)
    }

    // MARK: Prepared statements

    @Test func preparesAStatementOnce() throws {
        for number in 1...50 {
            let rows = try connection.execute("SELECT \(number)::integer", deadline: .soon)
            #expect(try rows[0].decode(Int.self) == number)
        }
        for number in 1...3 { try connection.execute("SELECT \(number)::integer + 1", deadline: .soon) }
        let rows = try connection.execute(
            "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT $1::integer%'", deadline: .soon)
        #expect(try rows[0].decode(Int.self) == 2)
    }

    @Test func aStatementThatCannotBePreparedHarmsNoOther() throws {
        for _ in 0..<3 { #expect(try refusal("SELECT nonsense FROM nowhere").sqlState == "42P01") }
        #expect(try connection.execute("SELECT \(1)::integer", deadline: .soon)[0].decode(Int.self) == 1)
        try connection.run(script: "CREATE TABLE nowhere (nonsense integer)", deadline: .soon)
        #expect(try connection.execute("SELECT nonsense FROM nowhere", deadline: .soon).isEmpty)
    }

    /// A migration that runs beside a serving function changes what its statements are prepared for.
    @Test func aStatementOutlivesAChangeOfItsTable() throws {
        try connection.run(script: "CREATE TABLE item (n integer); INSERT INTO item VALUES (1)", deadline: .soon)
        #expect(try connection.execute("SELECT * FROM item", deadline: .soon)[0].decode(Int.self) == 1)
        try connection.run(script: "ALTER TABLE item ADD label text DEFAULT 'x'", deadline: .soon)
        let (number, label) = try connection.execute("SELECT * FROM item", deadline: .soon)[0].decode(
            Int.self, String.self)
        #expect(number == 1 && label == "x")
        try connection.run(script: "DEALLOCATE ALL", deadline: .soon)
        #expect(try connection.execute("SELECT * FROM item", deadline: .soon).count == 1)
        #expect(try connection.execute("SELECT * FROM item", deadline: .soon).count == 1)
    }

    // MARK: Errors

    @Test func anErrorKeepsWhatTheServerSaid() throws {
        try connection.run(
            script: "CREATE TABLE item (n integer CONSTRAINT item_positive CHECK (n > 0) CONSTRAINT item_once UNIQUE)",
            deadline: .soon)
        let check = try refusal("INSERT INTO item VALUES (\(-1))")
        #expect(check.sqlState == "23514")
        #expect(check.constraint == "item_positive")
        #expect(check.statement.hasPrefix("INSERT INTO item"))
        #expect(check.message.contains("item_positive"))
        try connection.execute("INSERT INTO item VALUES (\(1))", deadline: .soon)
        let unique = try refusal("INSERT INTO item VALUES (\(1))")
        #expect(unique.sqlState == "23505")
        #expect(unique.constraint == "item_once")
        #expect(unique.detail?.contains("(n)=(1)") == true)
        let syntax = try refusal("SELECT nonsense FROM item")
        #expect(syntax.sqlState == "42703")
        #expect(syntax.position == 8)
        #expect(PostgresError.refused(syntax).problem.status == 500)
        #expect(PostgresError.refused(unique).sqlState == "23505")
        let hint = try refusal("SELECT lenth('x')")
        #expect(hint.hint?.isEmpty == false)
        #expect(connection.isUsable)
    }

    @Test(
        arguments: [
            ("25006", true), ("53100", true), ("53200", false), ("53300", false), ("53400", false), ("55P03", false),
            ("57014", false), ("40001", false), ("40P01", false),
        ])
    func whatPassesIsSaidAsItIs(_ state: String, _ takesNoWrites: Bool) throws {
        let error = try #require(throws: PostgresError.self) {
            try connection.run(
                script: "DO $$ BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = '\(state)'; END $$", deadline: .soon)
        }
        #expect(error.sqlState == state && error.problem.status == 503)
        #expect(error.problem.detail.contains("takes no writes") == takesNoWrites)
    }

    @Test func aScriptIsOneTransaction() throws {
        #expect(throws: PostgresError.self) {
            try connection.run(script: "CREATE TABLE a (n integer); SELECT 1/0; CREATE TABLE b ()", deadline: .soon)
        }
        let rows = try connection.execute("SELECT to_regclass('a') IS NULL", deadline: .soon)
        #expect(try rows[0].decode(Bool.self))
        let last = try connection.run(script: "SELECT 1; SELECT 2, 3;", deadline: .soon)
        let (two, three) = try last[0].decode(Int.self, Int.self)
        #expect(two == 2 && three == 3)
    }

    @Test(arguments: ["COPY item FROM STDIN", "COPY item TO STDOUT"])
    func copyInTheWrongPlaceIsAnErrorAndNoHang(_ statement: String) throws {
        try connection.run(script: "CREATE TABLE item (n integer)", deadline: .soon)
        #expect(throws: PostgresError.self) { try connection.run(script: statement, deadline: .soon) }
    }

    @Test func anEmptyScriptIsNoError() throws {
        try connection.run(script: "", deadline: .soon)
        try connection.run(script: "-- nothing", deadline: .soon)
        #expect(connection.isUsable)
    }

    @Test func aNoticeIsNotPrinted() throws {
        let printed = try StandardError.captured {
            try connection.run(
                script: "DO $$ BEGIN RAISE NOTICE 'a notice for nobody'; RAISE WARNING 'a warning for nobody'; END $$",
                deadline: .soon)
        }
        #expect(!printed.contains("for nobody"))
        #expect(connection.isUsable)
    }
}
