import Foundation
import TestSupport
import Testing

/// The gateway shows the API: its description, and a page that needs no other host.
@Suite struct DocumentPageTests {
    let shop: PrivateInstance

    init() throws { shop = try PrivateInstance.whole.get() }

    @Test func theDescriptionIsTheOneOfTheCheckout() throws {
        let answer = try shop.http.request("GET", "/openapi.yml")
        #expect(answer.status == 200)
        #expect(answer.headers["Content-Type"] == "application/yaml")
        #expect(answer.headers["Cache-Control"] == "no-cache")
        #expect(try answer.text == String(contentsOfFile: Repository.root + "/openapi.yml", encoding: .utf8))
    }

    @Test func thePageHasAllItNeeds() throws {
        let page = try shop.http.request("GET", "/docs/")
        #expect(page.status == 200)
        #expect(page.headers["Content-Type"] == "text/html; charset=utf-8")
        let policy = page.headers["Content-Security-Policy"] ?? ""
        #expect(policy.hasPrefix("default-src 'none'; script-src 'self';") && policy.contains("connect-src 'self'"))
        let parts = page.text.matches(of: #/(?:src|href)="([^"]+)"/#).map { String($0.1) }
        #expect(parts.sorted() == ["favicon-32x32.png", "show.js", "swagger-ui-bundle.js", "swagger-ui.css"])
        let types = ["css": "text/css", "js": "text/javascript", "png": "image/png"]
        for part in parts {
            let answer = try shop.http.request("GET", "/docs/\(part)")
            #expect(answer.status == 200 && !answer.body.isEmpty, "\(part)")
            let type = part.split(separator: ".").last.flatMap { types[String($0)] }
            #expect(answer.headers["Content-Type"] == type, "\(part)")
        }
    }

    @Test func theDescriptionIsGivenWhole() throws {
        let part = try shop.http.request("GET", "/openapi.yml", headers: [("Range", "bytes=99999999-")])
        #expect(part.status == 200 && part.text.hasPrefix("openapi:"))
        let other = try shop.http.request("GET", "/openapi.yml", headers: [("If-Match", "\"other\"")])
        #expect(other.status == 412)
        #expect(other.problem == "precondition-failed")
    }

    @Test func thePageIsFoundWithoutItsSlash() throws {
        let answer = try shop.http.request("GET", "/docs")
        #expect(answer.status == 308)
        #expect(answer.headers["Location"] == "/docs/")
    }

    @Test(arguments: ["/openapi.yml", "/docs/", "/docs/show.js"])
    func theyAreOnlyRead(_ path: String) throws {
        let answer = try shop.http.request("POST", path, json: "{}")
        #expect(answer.status == 405)
        #expect(answer.headers["Allow"] == "GET, HEAD")
        #expect(answer.problem == "method-not-allowed")
        #expect(try shop.http.request("HEAD", path).status == 200)
    }

    @Test("no client writes lines of its own into the gateway's logs, nor bytes that are not UTF-8")
    func logsAreTheGateways() throws {
        let word = shop.unique("planted")
        #expect(try shop.http.request("GET", "/docs/x%0a2026/11/22%20[emerg]%20\(word)").status == 404)
        let mark = shop.unique("mark")
        let request = Array("GET /\(mark)-".utf8) + [0xED, 0xB0, 0x80] + Array(" HTTP/1.0\r\n\r\n".utf8)
        #expect(try shop.http.send(raw: request).answer().status == 404)
        #expect(try shop.http.request("GET", "/\(mark)").status == 404)
        // It is read as UTF-8.
        try Eventually.happens("the log of the requests") { try shop.logText("access").contains("/\(mark)\"") }
        #expect(try !shop.logText("nginx").contains(word))
    }

    @Test(arguments: ["/docs/none", "/docs/../config.json", "/docs/%2e%2e/nginx.conf", "/openapi.yml/"])
    func nothingElseIsServed(_ path: String) throws {
        let answer = try shop.http.request("GET", path)
        #expect(answer.status == 404)
        #expect(answer.problem == "not-found")
    }
}
