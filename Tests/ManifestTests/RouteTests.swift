import TestSupport
import Testing

@testable import Manifest

@Suite struct RouteTests {
    @Test(arguments: [
        ("GET /a/{id}", "GET /a/{name}/"),
        ("GET /a", "GET /a/"),
        ("GET /", "GET /"),
        ("GET /a/{x}/c", "GET /a/b/{y}"),
    ])
    func clash(_ first: String, _ second: String) {
        let text = """
            functions:
              first:
                handler: Service/First
                events: [{httpApi: "\(first)"}]
              second:
                handler: Service/Second
                events: [{httpApi: "\(second)"}]
            """
        #expect(
            problems(in: text) == [
                "functions.yml:7: functions.second: \(second) clashes with \(first) of function \"first\" (line 4): "
                    + "a path can match both; change one of them"
            ])
    }

    @Test(arguments: [
        ("GET /a/{id}", "POST /a/{id}"),
        ("GET /a/new", "GET /a/{id}"),
        ("GET /a/{x}/c", "GET /{y}/b/d"),
        ("GET /a/{x}", "GET /a/{x}/{y}"),
        ("GET /A", "GET /a"),
    ])
    func noClash(_ first: String, _ second: String) {
        #expect(problems(events: "- httpApi: \"\(first)\"", "- httpApi: \"\(second)\"") == [])
    }

    @Test(arguments: ["/openapi.yml", "/docs", "/docs/{page}"])
    func pathsOfFiles(_ path: String) {
        #expect(
            problems(events: "- httpApi: \"GET \(path)\"") == [
                "functions.yml:5: functions.f: \(path) is where the gateway serves the API's description; "
                    + "choose another path"
            ])
    }

    @Test func pathsOfTheGatewayItself() throws {
        let text = try manifest(events: "- httpApi: {method: POST, path: /x, cors: true}").nginxConfiguration(.host)
        let paths = text.matches(of: /location = (\S+) \{\s+internal;/).map { String($0.1) }
        #expect(paths.count == 3)
        for path in paths.flatMap({ [$0, $0 + "/"] }) {
            #expect(
                problems(events: "- httpApi: \"GET \(path)\"") == [
                    "functions.yml:5: functions.f: \(path) is where the gateway makes its own errors; choose another path"
                ])
        }
    }

    @Test func narrowShapesComeFirst() throws {
        let manifest = try manifest(
            events: "- httpApi: GET /{a}/{b}", "- httpApi: GET /x/{b}", "- httpApi: GET /x/y", "- httpApi: PUT /{a}/y/")
        let order = Location.all(of: manifest.functions).map { $0.shape.segments.map { $0 ?? "*" } }
        #expect(order == [["x", "y"], ["x", "*"], ["*", "y"], ["*", "*"]])
    }

    @Test func aLocationKnowsTheMethodsOfWiderTemplates() throws {
        let manifest = try manifest(
            events: "- httpApi: GET /a/new", "- httpApi: GET /a/{id}", "- httpApi: DELETE /a/{id}",
            "- httpApi: POST /a/{x}/c", "- httpApi: PUT /a/b/{y}")
        let methods = Location.all(of: manifest.functions).map {
            ($0.shape.segments.map { $0 ?? "*" } + [" "] + $0.targets.map(\.method)).joined(separator: "/")
        }
        // Nobody wrote a/b/c, but both of the last two match it.
        #expect(
            methods == ["a/b/c/ /POST/PUT", "a/new/ /GET/DELETE", "a/b/*/ /PUT", "a/*/ /GET/DELETE", "a/*/c/ /POST"])
    }

    @Test func table() throws {
        let manifest = try manifest(
            "description: \"Does it\\nin two lines\"",
            events: "- httpApi: GET /things/{id}", "- httpApi: DELETE /things/{id}", "- httpApi: POST /x")
        #expect(
            manifest.routesTable(base: "http://localhost:8080") == """
                METHODS     URL                                FUNCTION  DESCRIPTION
                GET,DELETE  http://localhost:8080/things/{id}  f         Does it
                POST        http://localhost:8080/x            f         Does it

                """)
    }

    @Test func schedules() throws {
        #expect(try manifest(events: "- httpApi: GET /x").schedulesTable() == "")
        let tidy = try manifest("description: Tidies", events: "- schedule: rate(300 seconds)")
        #expect(
            tidy.schedulesTable() == """
                SCHEDULE         FUNCTION  DESCRIPTION
                rate(5 minutes)  f         Tidies

                """)
        #expect(tidy.tables(base: "") == [tidy.schedulesTable()])
        let off = try manifest(events: "- schedule: {rate: rate(1 day), enabled: false}")
        #expect(off.schedulesTable().split(separator: "\n").last == "off       f")
        let rates = [1, 60, 90, 3600, 7200, 86_400].map { Schedule(seconds: $0, isEnabled: true).rate }
        #expect(
            rates == [
                "rate(1 second)", "rate(1 minute)", "rate(90 seconds)", "rate(1 hour)", "rate(2 hours)", "rate(1 day)",
            ])
    }

    @Test func tableLinesEndWithoutSpaces() throws {
        let lines = try manifest(events: "- httpApi: GET /x").routesTable(base: "").split(separator: "\n")
        #expect(lines == ["METHODS  URL  FUNCTION  DESCRIPTION", "GET      /x   f"])
    }

    @Test func drift() throws {
        let folder = try TemporaryFolder()
        try folder.write("nginx.conf", "a\nb\n")
        let file = "\(folder.path)/nginx.conf"
        #expect(Manifest.drift(of: "a\nb\n", fileAt: file) == nil)
        #expect(
            Manifest.drift(of: "a\nc\n", fileAt: file)
                == "\(file):2: differs from what functions.yml gives: it has \"b\" where \"c\" is rendered; "
                + "render it again")
        #expect(Manifest.drift(of: "a\nb\n\nd\n", fileAt: file)?.hasPrefix("\(file):4: ") == true)
        #expect(Manifest.drift(of: "a", fileAt: "/nowhere") == "/nowhere: cannot be read; render it")
    }
}
