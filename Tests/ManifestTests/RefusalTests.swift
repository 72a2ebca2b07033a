import Testing

@testable import Manifest

@Suite struct RefusalTests {
    @Test func everythingWrongIsListedAtOnceInTheOrderOfTheFile() {
        let text = """
            functions:
              a:
                timeout: 0
                reservedConcurrency: many
                description: [1]
                environment: {1X: a, TAPROOM_ROUTE: b, C: null, D: {}, E: "${env:HOME}"}
                events: []
              b:
                handler: charge.handler
                timeout: "10"
                events:
                  - sqs: arn
                  - httpApi: {method: GET}
                  - httpApi: GET
              c: 5
            """
        #expect(
            problems(in: text) == [
                "functions.yml:2: functions.a.handler: is missing; name the executable as Service/Function",
                "functions.yml:3: functions.a.timeout: must be a whole number of seconds from 1 to 900, not 0",
                "functions.yml:4: functions.a.reservedConcurrency: must be a whole number of workers from 1 to 256, "
                    + "not the text \"many\"",
                "functions.yml:5: functions.a.description: must be text, not a list",
                "functions.yml:6: functions.a.environment.1X: a variable's name is letters, digits and _, "
                    + "no digit first",
                "functions.yml:6: functions.a.environment.TAPROOM_ROUTE: begins with TAPROOM_, which is kept for what "
                    + "the rendered configuration sets; use another name",
                "functions.yml:6: functions.a.environment.C: must be text or a number, not nothing",
                "functions.yml:6: functions.a.environment.D: must be text or a number, not a mapping",
                "functions.yml:6: functions.a.environment.E: ${env:HOME} cannot be resolved; only ${param:NAME} can",
                "functions.yml:7: functions.a.events: is empty; without an event nothing calls the function",
                "functions.yml:9: functions.b.handler: must be Service/Function in upper camel case, "
                    + "as in Subscriptions/Charge, not \"charge.handler\"",
                "functions.yml:10: functions.b.timeout: must be a whole number of seconds from 1 to 900, "
                    + "not the text \"10\"",
                "functions.yml:12: functions.b.events[0].sqs: unknown event; the known ones are httpApi, http, "
                    + "schedule, rabbitmq, outbox",
                "functions.yml:13: functions.b.events[1].httpApi.path: is missing; a route is a method and a path, "
                    + "as in \"GET /club/{id}\"",
                "functions.yml:14: functions.b.events[2].httpApi: must be a method and a path, "
                    + "as in \"GET /club/{id}\", not \"GET\"",
                "functions.yml:15: functions.c: must be a mapping of keys to values, not 5",
            ])
    }

    @Test(arguments: [
        ("GET x", "it does not start with a slash"),
        ("GET /x{id}", "\"x{id}\" is not a parameter: one is a whole segment, {name}, of letters, digits and _"),
        ("GET /{1d}", "\"{1d}\" is not a parameter: one is a whole segment, {name}, of letters, digits and _"),
        ("GET /{proxy+}", "\"{proxy+}\" is not a parameter: one is a whole segment, {name}, of letters, digits and _"),
        ("GET /{a}/{a}", "parameter {a} occurs twice"),
        ("GET /a//b", "it has an empty segment"),
        ("GET /a/../b", "\"..\" is resolved before a path is matched, so it never would be"),
        ("GET /a%20b", "\"a%20b\" has a character other than letters, digits and . _ ~ -"),
        ("GET /$uri", "\"$uri\" has a character other than letters, digits and . _ ~ -"),
    ])
    func badPath(_ event: String, _ reason: String) {
        let path = event.dropFirst(4)
        #expect(
            problems(events: "- httpApi: \"\(event)\"")
                == ["functions.yml:5: functions.f.events[0].httpApi: bad path \"\(path)\": \(reason)"])
    }

    @Test(arguments: [
        ("FETCH", ""), ("'*'", ""), ("any", ""),
        ("head", "HEAD is answered wherever GET is; "),
        ("OPTIONS", "OPTIONS is answered by the gateway, see cors; "),
    ])
    func badMethod(_ method: String, _ reason: String) {
        let shown = method.filter { $0 != "'" }
        #expect(
            problems(events: "- http: {method: \(method), path: x}") == [
                "functions.yml:5: functions.f.events[0].http: unknown method \"\(shown)\"; \(reason)"
                    + "use GET, POST, PUT, PATCH, DELETE"
            ])
    }

    @Test func settingsBesideTheirTrigger() {
        #expect(
            problems(events: "- httpApi:", "  method: GET", "  path: /x") == [
                "functions.yml:5: functions.f.events[0]: must be one trigger, not 3 keys (httpApi, method, path); "
                    + "indent what belongs to the trigger below it, and give each trigger a dash of its own"
            ])
    }

    @Test(arguments: [
        ("timeout: 901", "timeout: must be a whole number of seconds from 1 to 900, not 901"),
        ("timeout: 1:30", "timeout: must be a whole number of seconds from 1 to 900, not 1:30"),
        (
            "timeout: 1000000000000000000:30",
            "timeout: must be a whole number of seconds from 1 to 900, not 1000000000000000000:30"
        ),
        ("timeout: 1.5", "timeout: must be a whole number of seconds from 1 to 900, not 1.5"),
        ("timeout:", "timeout: must be a whole number of seconds from 1 to 900, not nothing"),
        ("reservedConcurrency: 257", "reservedConcurrency: must be a whole number of workers from 1 to 256, not 257"),
        ("cors: sometimes", "cors: must be true or false, not the text \"sometimes\""),
        ("cors: {origin: x}", "cors: must be true or false, not a mapping"),
        ("environment: [A]", "environment: must be a mapping of keys to values, not a list"),
        ("environment: {A: \"a\\0b\"}", "environment.A: contains a NUL, which no environment can hold"),
        ("environment: {A: '${param:x'}", "environment.A: ${param:x cannot be resolved; only ${param:NAME} can"),
    ])
    func badValue(_ line: String, _ message: String) {
        #expect(problems(line, events: "- httpApi: GET /x") == ["functions.yml:4: functions.f.\(message)"])
    }

    @Test(arguments: [
        ("", "functions.yml: is empty; it needs a mapping \"functions\""),
        ("service: x", "functions.yml: has no \"functions\"; list them under that key"),
        ("functions: {}", "functions.yml:1: functions: lists no function"),
        ("functions: []", "functions.yml:1: functions: must be a mapping of keys to values, not a list"),
        ("- a", "functions.yml:1: must be a mapping of keys to values, not a list"),
        ("functions:\n  a: 1\n  a: 2", "functions.yml:2: has \"a\" twice in one mapping; keep one"),
        (
            "functions:\n  a:\n\t\thandler: A/B",
            "functions.yml:3: is not valid YAML: found character that cannot start any token; indent with spaces, not with a tab"
        ),
        ("functions:\n  a: }\n  b: 1", "functions.yml:2: is not valid YAML: did not find expected node content"),
        (
            "functions:\n  a b: {handler: S/A, events: [{httpApi: GET /}]}",
            "functions.yml:2: functions.a b: a function's name is 1 to 64 letters, digits, - and _, a letter first"
        ),
    ])
    func badFile(_ text: String, _ message: String) {
        #expect(problems(in: text) == [message])
    }

    @Test(arguments: ["access", "all", "nginx", "postgres", "rabbitmq", "supervisor", "supervisord"])
    func namesOfTheInstanceItself(_ name: String) {
        let found = problems(in: "functions:\n  \(name): {handler: S/A, events: [{httpApi: GET /}]}")
        #expect(found.count == 1 && found[0].hasPrefix("functions.yml:2: functions.\(name): "), "\(found)")
        #expect(found.first?.contains("rename the function") == true)
    }

    @Test func oneExecutableOfTwoServices() {
        let text = """
            functions:
              a: {handler: Orders/List, events: [{httpApi: GET /orders}]}
              b: {handler: Orders/List, events: [{httpApi: GET /others}]}
              c: {handler: Clubs/List, events: [{httpApi: GET /clubs}]}
            """
        let problem = "Clubs/List would be the same executable as Orders/List of function \"a\"; rename one of them"
        #expect(problems(in: text) == ["functions.yml:4: functions.c.handler: \(problem)"])
    }

    @Test func missingFile() {
        let error = #expect(throws: ManifestError.self) { try Manifest.load(from: "/nowhere/functions.yml") }
        #expect(error?.description == "/nowhere/functions.yml: cannot be read; name an existing functions.yml")
    }
}
