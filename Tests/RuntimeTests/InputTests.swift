import TestSupport
import Testing

@testable import Runtime

/// A body with a member of every kind that the functions use.
private struct Body: Decodable {
    let name: Field<String>
    let note: Field<String>
    let size: Field<Int>
    let sku: Field<Int32>
    let flag: Field<Bool>

    /// Reads and checks it as a handler does.
    static func check(_ bytes: [UInt8], headers: [String: String] = [:]) throws -> (String, Int, Int32, String?) {
        let body = try event(bytes, headers: headers).json(Body.self)
        var check = InputCheck()
        let name = check.text(body.name, "/name", characters: 1...5)
        let note = check.optionalText(body.note, "/note", characters: 0...3)
        let size = check.choice(body.size, "/size", of: 1...3, "1, 2 or 3")
        let sku = check.required(body.sku, "/sku", "a whole number of 32 bits")
        _ = check.optional(body.flag, "/flag", "true or false")
        let (checkedName, checkedSize, checkedSKU) = try check.finish(name, size, sku)
        return (checkedName, checkedSize, checkedSKU, note)
    }

    static func event(_ bytes: [UInt8], headers: [String: String] = [:]) -> HTTPEvent {
        HTTPEvent(
            routeKey: "POST /", rawPath: "/", rawQueryString: "", headers: headers, queryStringParameters: [:],
            pathParameters: [:],
            requestContext: .init(
                method: "POST", path: "/", protocol: "HTTP/1.1", sourceIP: "", userAgent: "", requestID: "r",
                timeEpoch: 0),
            body: bytes)
    }
}

private func pointers(_ bytes: [UInt8]) throws -> [String] {
    let problem = try #require(throws: Problem.self) { try Body.check(bytes) }
    #expect(problem.status == 400)
    #expect(problem.slug == "bad-request")
    #expect(problem.debug == nil)
    #expect(problem.errors.allSatisfy { !$0.detail.isEmpty })
    return problem.errors.map(\.pointer)
}

private func pointers(_ text: String) throws -> [String] { try pointers(Array(text.utf8)) }

@Suite struct InputTests {
    @Test func takesAGoodBody() throws {
        let good = #"{"name":"a","size":2,"sku":-7,"note":null,"more":[1],"flag":true}"#
        let (name, size, sku, note) = try Body.check(Array(good.utf8))
        #expect(name == "a")
        #expect(size == 2)
        #expect(sku == -7)
        #expect(note == nil)
    }

    @Test func namesEveryWrongMemberAtOnce() throws {
        #expect(
            try pointers(#"{"name":1,"note":[],"size":"2","sku":1.5,"flag":"yes"}"#)
                == ["/name", "/note", "/size", "/sku", "/flag"])
        #expect(try pointers("{}") == ["/name", "/size", "/sku"])
        #expect(try pointers(#"{"name":null,"size":null,"sku":null,"note":null}"#) == ["/name", "/size", "/sku"])
        #expect(try pointers(#"{"name":"","note":"four","size":4,"sku":{}}"#) == ["/name", "/note", "/size", "/sku"])
    }

    @Test(
        arguments: [
            ("\"size\":0", "/size"), ("\"size\":99999999999999999999999", "/size"),
            ("\"size\":-9223372036854775809", "/size"), ("\"size\":1e400", "/size"), ("\"size\":-1e400", "/size"),
            ("\"size\":1.5", "/size"), ("\"size\":true", "/size"), ("\"size\":\"1\"", "/size"),
            ("\"sku\":2147483648", "/sku"), ("\"sku\":1e400", "/sku"), ("\"sku\":[1]", "/sku"),
            (#""name":"a\u0000b""#, "/name"), (#""name":"\ud800""#, "/name"), (#""name":"\udc00\ud800""#, "/name"),
            (#""name":"abcdef""#, "/name"), (#""name":{"a":1}"#, "/name"), (#""name":false"#, "/name"),
            (#""note":"\u0000""#, "/note"), (#""note":"\ud83c""#, "/note"),
        ])
    func namesTheWrongMember(_ member: String, _ pointer: String) throws {
        let name = member.prefix { $0 != ":" }
        let rest = [#""name":"a""#, "\"size\":1", "\"sku\":1"].filter { !$0.hasPrefix(name) }
        #expect(try pointers("{\((rest + [member]).joined(separator: ","))}") == [pointer])
    }

    @Test(
        arguments: [
            "", " ", "{", "}", "{\"name\":", "{\"name\":\"a", "{\"name\":\"a\"", "nonsense", "{'name':'a'}", "{]",
            "{\"name\":\"a\",}", "[", "{\"name\":NaN}", "{\"name\":\"a\u{1}\"}", "{\"name\":\"\\x\"}",
            "{\"name\":\"\\u12\"}", "{\"size\":01}", "{\"size\":+1}", "{\"size\":1e}", "{}{}", "{} x", "/**/{}",
            "null", "[]", "1", "\"text\"", "true", "1e400", "[[[]]]", "\"\\ud800\"",
        ])
    func pointsAtTheWholeOfWhatIsNoObject(_ text: String) throws {
        #expect(try pointers(text) == [""])
    }

    @Test func refusesDeepNestingWithoutACrash() throws {
        for depth in [65, 600, 10_000, 32_000] {
            let arrays = String(repeating: "[", count: depth)
            let objects = String(repeating: "{\"a\":", count: depth)
            let closed = arrays + String(repeating: "]", count: depth)
            for text in [arrays, objects, closed, "{\"name\":\(closed)}", "{\"more\":\(closed)}"] {
                #expect(try pointers(text) == [""])
            }
        }
        func nested(_ depth: Int) -> String {
            "{\"name\":\(String(repeating: "[", count: depth - 1))\(String(repeating: "]", count: depth - 1))}"
        }
        #expect(try pointers(nested(64)) == ["/name", "/size", "/sku"])
        #expect(try pointers(nested(65)) == [""])
    }

    @Test("a member's name has a limit, whether anybody reads the member or not")
    func longNames() throws {
        func body(_ name: String) -> [UInt8] {
            Array("{\"name\":\"a\",\"size\":1,\"sku\":1,\"more\":{\"\(name)\":1}}".utf8)
        }
        let marks = String(repeating: "\u{301}", count: 512)
        #expect(try Body.check(body(marks)).0 == "a")
        #expect(try pointers(body(marks + "a")) == [""])
        #expect(try pointers("{\"name\":\"\(String(repeating: "x", count: 1025))\"}") == ["/name", "/size", "/sku"])
        let name = Array(#"{"a":1, ""#.utf8) + Array((marks + "a").utf8)
        #expect(JSONSyntax.fault(in: name + Array(#"":1}"#.utf8)) == 8)
        #expect(JSONSyntax.fault(in: name + Array(#"":1}"#.utf8), atDepth: 1) == nil, "nobody decodes it here")
    }

    @Test(
        arguments: [
            [0xFF], [0xC3, 0x28], [0xED, 0xA0, 0x80], [0xC0, 0xAF], [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82], [0x00],
        ] as [[UInt8]])
    func refusesWhatIsNoUTF8(_ wrong: [UInt8]) throws {
        _ = try pointers(Array(#"{"size":1,"sku":1,"name":""#.utf8) + wrong + Array("\"}".utf8))
        #expect(try pointers(wrong + Array("{}".utf8)) == [""])
    }

    @Test(
        arguments: [
            ([0xFF], 6), ([0x41, 0xC3, 0x28], 7), ([0xC3, 0xA9, 0xF0, 0x9F, 0x8D], 8), ([0x41, 0xED, 0xA0, 0x80], 7),
        ] as [([UInt8], Int)])
    func pointsAtTheFirstByteThatIsNoUTF8(_ text: [UInt8], _ place: Int) {
        #expect(JSONSyntax.fault(in: Array(#"{"a":""#.utf8) + text + [0xFF] + Array(#""}"#.utf8)) == place)
    }

    @Test func takesUTF8Only() throws {
        let text = #"{"name":"a","size":1,"sku":1}"#
        let wide = text.utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
        #expect(try pointers([0xFF, 0xFE] + wide) == [""])
        #expect(try pointers(wide) == [""])
        // RFC 8259 lets a reader overlook the mark at the beginning.
        #expect(try Body.check([0xEF, 0xBB, 0xBF] + Array(text.utf8)).0 == "a")
    }

    @Test func countsCharactersAsTheDatabaseDoes() throws {
        let scalars = "e\u{301}\u{301}\u{301}\u{301}"
        #expect(try Body.check(Array("{\"name\":\"\(scalars)\",\"size\":1,\"sku\":1}".utf8)).0 == scalars)
        #expect(try pointers("{\"name\":\"\(scalars)\u{301}\",\"size\":1,\"sku\":1}") == ["/name"])
        let beers = String(repeating: "\u{1F37A}", count: 5)
        #expect(try Body.check(Array("{\"name\":\"\(beers)\",\"size\":1,\"sku\":1}".utf8)).0 == beers)
    }

    @Test func aRepeatedMemberHasOneValue() throws {
        let (name, _, _, _) = try Body.check(Array(#"{"name":"a","name":"b","size":1,"sku":1}"#.utf8))
        #expect(name == "a")
    }

    @Test(
        arguments: [
            "application/json", "application/json; charset=utf-8", "Application/JSON", "application/merge-patch+json",
        ])
    func takesJSONByItsMediaType(_ type: String) throws {
        let good = Array(#"{"name":"a","size":2,"sku":1}"#.utf8)
        #expect(try Body.check(good, headers: ["content-type": type]).0 == "a")
    }

    @Test(arguments: ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "", "json", "*/*"])
    func refusesOtherMediaTypes(_ type: String) throws {
        let problem = try #require(throws: Problem.self) {
            try Body.check(Array("{}".utf8), headers: ["content-type": type])
        }
        #expect(problem.status == 415)
    }

    @Test(arguments: ["...", ".a", "a..", ":"])
    func takesARequestID(_ id: String) throws {
        var event = Body.event([])
        event.pathParameters["request_id"] = id
        #expect(try event.platformRequestID() == id)
    }

    @Test(arguments: [".", "..", "", "a/b", String(repeating: "x", count: 129)])
    func refusesARequestIDThatIsNoSegmentOfAPath(_ id: String) throws {
        var event = Body.event([])
        event.pathParameters["request_id"] = id
        let problem = try #require(throws: Problem.self) { try event.platformRequestID() }
        #expect(problem.status == 400 && problem.errors.map(\.pointer) == ["/path/request_id"])
    }
}
