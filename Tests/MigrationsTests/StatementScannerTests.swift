import Testing

@testable import Migrations

@Suite struct StatementScannerTests {
    private func statements(_ sql: String) throws -> [String] {
        try StatementScanner.statements(in: Array(sql.utf8)[...], line: 1).map { "\($0.line): \($0.text)" }
    }

    @Test(
        arguments: [
            ("", []),
            (" ;; -- nothing\n /* no ; thing */ ;", []),
            ("SELECT 1; SELECT 2", ["1: SELECT 1", "1: SELECT 2"]),
            ("-- a; b\n\nSELECT\n1 ; \n SELECT 2;", ["3: SELECT\n1", "5: SELECT 2"]),
            ("SELECT 'a;''b;';SELECT \"c;\"\"d\"", ["1: SELECT 'a;''b;'", "1: SELECT \"c;\"\"d\""]),
            ("SELECT E'it\\'s;', 'back\\';SELECT 2", ["1: SELECT E'it\\'s;', 'back\\'", "1: SELECT 2"]),
            ("SELECT $$a;\nb$$; SELECT $t$;$$;$t$, $1;", ["1: SELECT $$a;\nb$$", "2: SELECT $t$;$$;$t$, $1"]),
            ("SELECT a$b; SELECT 1", ["1: SELECT a$b", "1: SELECT 1"]),
            ("/* x /* ; */ ; */ SELECT 1 /* ; */ + 1;", ["1: SELECT 1 /* ; */ + 1"]),
            (
                "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);",
                [
                    "1: CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)"
                ]
            ),
            (
                "create or replace function f() begin atomic select case when true then 1 end; end; SELECT 1",
                [
                    "1: create or replace function f() begin atomic select case when true then 1 end; end",
                    "1: SELECT 1",
                ]
            ),
            ("SELECT CASE WHEN true THEN 1 END; SELECT 2", ["1: SELECT CASE WHEN true THEN 1 END", "1: SELECT 2"]),
        ] as [(String, [String])])
    func cutsWherePsqlCuts(sql: String, expected: [String]) throws {
        #expect(try statements(sql) == expected)
    }

    @Test(arguments: [
        ("\nSELECT 'a", 2, "the quote ' is never closed"),
        ("SELECT \"a", 1, "the quote \" is never closed"),
        ("SELECT $x$a$$", 1, "$x$ is never closed"),
        ("\n\n/* /* */", 3, "the comment /* is never closed"),
    ])
    func whatIsNeverClosedIsNamed(sql: String, line: Int, text: String) {
        let fault = #expect(throws: StatementScanner.Fault.self) { try statements(sql) }
        #expect(fault?.line == line)
        #expect(fault?.text == text)
    }

    @Test(arguments: ["BEGIN", "start transaction", "COMMIT", "End", "ROLLBACK", "abort", "PREPARE TRANSACTION 'x'"])
    func transactionControlIsRefused(sql: String) {
        let fault = #expect(throws: StatementScanner.Fault.self) { try statements("SELECT 1;\n\(sql);") }
        #expect(fault?.line == 2)
    }
}
