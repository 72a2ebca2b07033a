import FoundationEssentials
import TestSupport
import Testing
import Yams

@testable import Manifest
@testable import Runtime

/// openapi.yml says what functions.yml and the code say.
@Suite struct RoutesTests {
    @Test func documentAndRoutesAreTheSame() throws {
        let manifest = try Manifest.load(from: Repository.root + "/functions.yml")
        let differences = try differences(manifest.operations, APIDocument.load().operations())
        #expect(differences == [])
    }

    @Test func everyDifferenceIsSeen() throws {
        let document = try APIDocument(
            """
            paths:
              /club/{id}:
                parameters: [{$ref: "#/components/parameters/Name"}]
                get: {}
              /gone: {get: {}}
              /same/{name}/: {put: {parameters: [{name: name, in: path}, {name: other, in: query}]}}
            components: {parameters: {Name: {name: name, in: path}}}
            """)
        let routes: [APIDocument.Operation] = [
            .init(method: "GET", path: "/club/{id}", parameters: ["id"]),
            .init(method: "POST", path: "/new", parameters: []),
            .init(method: "PUT", path: "/same/{name}/", parameters: ["name"]),
        ]
        #expect(
            try differences(routes, document.operations()) == [
                "POST /new is in functions.yml and not in openapi.yml",
                "GET /gone is in openapi.yml and not in functions.yml",
                #"GET /club/{id} has the parameters ["id"], openapi.yml describes ["name"]"#,
            ])
    }

    @Test func everyReferenceLeadsSomewhere() throws {
        let document = try APIDocument.load()
        var used: Set<String> = []
        document.root.walk { path, node in
            guard let reference = node["$ref"]?.string else { return }
            used.insert(reference)
            #expect(document.target(of: reference) != nil, "\(path): \(reference)")
        }
        for kind in ["parameters", "headers", "schemas", "responses"] {
            for (name, _) in document.root["components"]?[kind]?.mapping ?? [:] {
                let reference = "#/components/\(kind)/\(name.string ?? "")"
                #expect(used.contains(reference), "\(reference) is used nowhere")
            }
        }
    }

    /// Opened at an operation, Swagger UI resolves no reference of its path: the parameter has neither name nor type.
    @Test func noParametersStandAtAPath() throws {
        for (path, item) in try APIDocument.load().root["paths"]?.mapping ?? [:] {
            #expect(item["parameters"] == nil, "\(path.string ?? "")")
        }
    }

    /// Swagger UI shows what has no type as `any` or `never`, and a path parameter without an example as one to be
    /// filled in.
    @Test func everyParameterSaysItsTypeAndEveryPathAnExample() throws {
        let document = try APIDocument.load()
        document.root.walk { path, node in
            if let not = node["not"] { #expect(not["type"] != nil, "\(path)/not") }
            guard let place = node["in"]?.string, let schema = node["schema"] else { return }
            let resolved = try? document.resolved(schema)
            #expect(resolved?["type"] != nil, "\(path)")
            if place == "path" { #expect(node["example"] != nil, "\(path)") }
        }
    }

    /// Without CORS a browser only hides the answer from a page of another origin.
    @Test func whatPagesOfOtherOriginsMustNotSendIsAForbidden() throws {
        let document = try APIDocument.load()
        for route in try Manifest.load(from: Repository.root + "/functions.yml").functions.flatMap(\.routes) {
            let responses = document.root["paths"]?[route.path]?[route.method.lowercased()]?["responses"]
            let isRefused = responses?.mapping?.keys.contains { $0.string == "403" }
            #expect(isRefused == (!route.cors && route.method != "GET"), "\(route.method) \(route.path)")
        }
    }

    @Test func everyRefusalThatComesBeforeTheRouteIsToldAboveThePaths() throws {
        let text = try #require(try APIDocument.load().root["info"]?["description"]?.string)
        let words = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        for problem in GatewayProblem.refusals where [400, 413, 414, 431, 501, 505].contains(problem.status) {
            #expect(words.contains("`/problems/\(problem.slug)` (\(problem.status))"))
        }
    }

    @Test func everyStatusOfAFunctionHasItsPhrase() throws {
        var statuses: Set<Int> = []
        for (_, item) in try APIDocument.load().root["paths"]?.mapping ?? [:] {
            for (_, operation) in item.mapping ?? [:] {
                statuses.formUnion(
                    (operation["responses"]?.mapping ?? [:]).compactMap { $0.key.string.flatMap { Int($0) } })
            }
        }
        // These are the gateway's alone.
        for status in statuses.subtracting([403, 429]) {
            let head = String(decoding: try ResponseHead.bytes(HTTPResponse(status: status)), as: UTF8.self)
            #expect(!head.hasPrefix("Status: \(status) Error") && !head.hasPrefix("Status: \(status) Success"))
        }
        #expect(statuses.count > 10)
    }

    /// Every problem that a function or the gateway can answer with is in the document, and no other.
    @Test func problemsAreThoseOfTheCode() throws {
        var documented: Set<String> = []
        try APIDocument.load().root.walk { _, node in
            guard let text = node.string, let match = text.wholeMatch(of: #/\/problems\/([a-z-]+)/#) else { return }
            documented.insert(String(match.1))
        }
        let sources = try FileManager.default.subpathsOfDirectory(atPath: Repository.root + "/Sources")
        var made: Set<String> = []
        var titles: [String: Set<String>] = [:]
        for path in sources where path.hasSuffix(".swift") {
            let source = try readText("Sources/\(path)")
            for match in source.matches(of: #/Problem\(\s*"([a-z-]+)"/#) { made.insert(String(match.1)) }
            for match in source.matches(of: #/status: \d+, slug: "([a-z-]+)"/#) { made.insert(String(match.1)) }
            for match in source.matches(of: #/"([a-z-]+)",(?: status: \d+,)?\s+title: "([^"]+)"/#) {
                titles[String(match.1), default: []].insert(String(match.2))
            }
        }
        // Those of a request that is hardly HTTP are told in the text above the paths; an event file is no request.
        let apart: Set = [
            "uri-too-long", "headers-too-large", "not-implemented", "http-version-not-supported", "bad-event",
        ]
        #expect(made.subtracting(apart).subtracting(documented) == [], "the code has these, openapi.yml does not")
        #expect(documented.subtracting(made) == [], "openapi.yml has these, the code does not")
        #expect(titles.count > 20 && titles.filter { $0.value.count > 1 } == [:], "a type has one title")
    }
}
