import FoundationEssentials
import Manifest
import TestSupport
import Testing
import Yams

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

    /// Every problem that a function or the gateway can answer with is in the document, and no other.
    @Test func problemsAreThoseOfTheCode() throws {
        var documented: Set<String> = []
        try APIDocument.load().root.walk { _, node in
            guard let text = node.string, let match = text.wholeMatch(of: #/\/problems\/([a-z-]+)/#) else { return }
            documented.insert(String(match.1))
        }
        let sources = try FileManager.default.subpathsOfDirectory(atPath: Repository.root + "/Sources")
        var made: Set<String> = []
        for path in sources where path.hasSuffix(".swift") {
            let source = try readText("Sources/\(path)")
            for match in source.matches(of: #/Problem\(\s*"([a-z-]+)"/#) { made.insert(String(match.1)) }
            for match in source.matches(of: #/status: \d+, slug: "([a-z-]+)"/#) { made.insert(String(match.1)) }
        }
        // Those of a request that is hardly HTTP are told in the text above the paths; an event file is no request.
        let apart: Set = [
            "uri-too-long", "headers-too-large", "not-implemented", "http-version-not-supported", "bad-event",
        ]
        #expect(made.subtracting(apart).subtracting(documented) == [], "the code has these, openapi.yml does not")
        #expect(documented.subtracting(made) == [], "openapi.yml has these, the code does not")
    }
}
