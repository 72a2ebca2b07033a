import Testing

@testable import Runtime

@Suite struct RouteTests {
    private func match(_ template: String, _ path: String) throws -> [String: String]? {
        let route = try #require(RouteTemplate(template))
        return route.match(rawPath: path).map { pairs in
            Dictionary(uniqueKeysWithValues: pairs.map { ($0.name, String($0.value)) })
        }
    }

    @Test(arguments: ["/club/3/subscribe/", "/club/3/subscribe"])
    func matchesWithAndWithoutTheTrailingSlash(_ path: String) throws {
        #expect(try match("POST /club/{id}/subscribe/", path) == ["id": "3"])
        #expect(try match("POST /club/{id}/subscribe", path) == ["id": "3"])
    }

    @Test(
        arguments: [
            "/club//subscribe/", "//club/3/subscribe", "/club/3//subscribe", "/club/3/subscribe//", "/club/3", "/club",
            "/", "", "//", "club/3/subscribe", "/club/3/subscribe/more", "/Club/3/subscribe", "/club/3/subscrib%65",
            "/clubs/3/subscribe", "/club/3/4/subscribe",
        ])
    func matchesNothingElse(_ path: String) throws {
        #expect(try match("POST /club/{id}/subscribe/", path) == nil)
    }

    @Test func aParameterTakesOneWholeSegmentStillEncoded() throws {
        #expect(try match("GET /a/{x}", "/a/%2F%2f") == ["x": "%2F%2f"])
        #expect(try match("GET /a/{x}", "/a/b%00c%") == ["x": "b%00c%"])
        #expect(try match("GET /{x}/{y}/", "/../.") == ["x": "..", "y": "."])
        #expect(try match("GET /{x}", "/") == nil)
        #expect(try match("GET /a/{x}", "/a/") == nil)
        #expect(try match("GET /a/{x}", "/a/\u{1F37A}") == ["x": "\u{1F37A}"])
    }

    @Test func theRootHasARouteOfItsOwn() throws {
        #expect(try match("GET /", "/") == [:])
        #expect(try match("GET /", "/a") == nil)
        #expect(try match("GET /", "//") == nil)
    }

    @Test(arguments: ["", "GET", "GET club", "GET /a /b", "/a"])
    func refusesWhatIsNoRoute(_ text: String) {
        #expect(RouteTemplate(text) == nil)
    }

    @Test func keepsTheRouteKeyAsWritten() {
        #expect(RouteTemplate("post  /club/{id}/")?.key == "POST /club/{id}/")
        #expect(RouteTemplate("get /x")?.method == "GET")
    }
}

@Suite struct PercentEncodingTests {
    @Test(
        arguments: [
            ("plain", "plain"), ("%2541", "%41"), ("%41%42", "AB"), ("a%2Fb", "a/b"), ("%e2%82%ac", "€"),
            ("%E2%82%AC", "€"), ("a+b", "a+b"), ("%00", "\0"), ("", ""), ("%25", "%"),
        ])
    func decodesOnce(_ encoded: String, _ text: String) {
        #expect(PercentEncoding.decode(encoded[...]) == text)
    }

    @Test(arguments: ["%", "%4", "%zz", "%4g", "a%", "%ff", "%c3", "%c0%af", "%ed%a0%80", "%+1", "% 1"])
    func refusesBrokenEscapesAndWhatIsNoUTF8(_ encoded: String) {
        #expect(PercentEncoding.decode(encoded[...]) == nil)
    }

    @Test func encodesAllButTheUnreserved() {
        #expect(PercentEncoding.encode("aZ09-._~") == "aZ09-._~")
        #expect(PercentEncoding.encode("a b/ü%&+\0") == "a%20b%2F%C3%BC%25%26%2B%00")
        for text in ["'; DROP TABLE club; --", "\u{1F37A} é", "%41"] {
            #expect(PercentEncoding.decode(PercentEncoding.encode(text)[...]) == text)
        }
    }

    @Test(
        arguments: [
            ("", [:]), ("a=1&b=2", ["a": "1", "b": "2"]), ("a=1&a=2", ["a": "1,2"]), ("a", ["a": ""]),
            ("a=", ["a": ""]), ("&&a=1&", ["a": "1"]), ("a=b=c", ["a": "b=c"]), ("a+b=c+d", ["a b": "c d"]),
            ("a=%2B%26", ["a": "+&"]), ("a=%zz", ["a": "\0"]), ("%zz=1", ["%zz": "1"]), ("=1", ["": "1"]),
            ("a=%2541", ["a": "%41"]),
        ] as [(String, [String: String])])
    func readsTheQuery(_ query: String, _ parameters: [String: String]) {
        #expect(PercentEncoding.query(query) == parameters)
    }
}
