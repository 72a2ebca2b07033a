import TestSupport
import Testing

@testable import Manifest

@Suite struct ParsingTests {
    @Test func everyKey() throws {
        let manifest = try Manifest.parse(
            """
            service: shop
            provider: {name: aws, runtime: anything}
            functions:
              charge:
                handler: Subscriptions/Charge
                description: Charges once
                timeout: 20
                reservedConcurrency: 32
                environment:
                  URL: http://${param:host}/x
                  LIMIT: 12
                  FLAG: true
                  TEXT: "007"
                events:
                  - httpApi: POST /charge/{id}
            """, file: "functions.yml")
        #expect(manifest.warnings.isEmpty)
        let function = try #require(manifest.functions.first)
        #expect(function.name == "charge")
        #expect(function.handler == "Subscriptions/Charge")
        #expect(function.executable == "ChargeFunction")
        #expect(function.description == "Charges once")
        #expect(function.timeout == 20)
        #expect(function.reservedConcurrency == 32)
        #expect(
            function.environment.map { "\($0)=\($1)" }
                == ["URL=http://${param:host}/x", "LIMIT=12", "FLAG=true", "TEXT=007"])
    }

    @Test func defaults() throws {
        let function = try #require(manifest(events: "- httpApi: GET /x").functions.first)
        #expect(function.timeout == 6)
        #expect(function.reservedConcurrency == 4)
        #expect(function.description == nil)
        #expect(function.environment.isEmpty)
    }

    @Test(arguments: [
        ("- httpApi: GET /x/{id}", "GET /x/{id}", false),
        ("- httpApi: 'post   /x/'", "POST /x/", false),
        ("- httpApi: {method: PUT, path: \"/x/{id}\"}", "PUT /x/{id}", false),
        ("- httpApi: {method: Patch, path: /x, cors: true}", "PATCH /x", true),
        ("- httpApi:\n          method: GET\n          path: /", "GET /", false),
        ("- http: get x/{id}", "GET /x/{id}", false),
        ("- http: DELETE /x", "DELETE /x", false),
        ("- http: {method: get, path: \"x/{id}/y\", cors: true}", "GET /x/{id}/y", true),
        ("- http: {method: get, path: x, cors: false}", "GET /x", false),
    ])
    func spellingOfAnEvent(_ event: String, _ route: String, _ cors: Bool) throws {
        let routes = try manifest(events: event).functions.flatMap(\.routes)
        #expect(routes.map { "\($0.method) \($0.path)" } == [route])
        #expect(routes.map(\.cors) == [cors])
    }

    @Test func corsOfTheFunctionHoldsWhereAnEventSaysNothing() throws {
        let routes = try manifest(
            "cors: true",
            events: "- httpApi: GET /a", "- httpApi: {method: GET, path: /b, cors: false}"
        ).functions.flatMap(\.routes)
        #expect(routes.map(\.cors) == [true, false])
    }

    @Test func unknownKeysAreWarningsThatNameTheNearest() throws {
        let manifest = try Manifest.parse(
            """
            servise: shop
            functions:
              a:
                handler: Service/A
                timeOut: 10
                reservedConcurency: 3
                events:
                  - httpApi: {methods: x, method: GET, path: /a}
            """, file: "functions.yml")
        #expect(
            manifest.warnings == [
                "functions.yml:1: servise: unknown key, ignored; the nearest known one is \"service\"",
                "functions.yml:5: functions.a.timeOut: unknown key, ignored; the nearest known one is \"timeout\"",
                "functions.yml:6: functions.a.reservedConcurency: unknown key, ignored; "
                    + "the nearest known one is \"reservedConcurrency\"",
                "functions.yml:8: functions.a.events[0].httpApi.methods: unknown key, ignored; "
                    + "the nearest known one is \"method\"",
            ])
    }

    @Test func aMisspeltKeyIsNamedBesideTheOneThatIsMissing() {
        let error = #expect(throws: ManifestError.self) {
            try manifest("event: []", events: "- rabbitmq: {queue: q, routingkey: x}")
        }
        #expect(
            error?.description
                == [
                    "functions.yml:6: functions.f.events[0].rabbitmq.routingKey: is missing; "
                        + "name the type of events, or a list of them",
                    "warning: functions.yml:4: functions.f.event: unknown key, ignored; the nearest known one is \"events\"",
                    "warning: functions.yml:6: functions.f.events[0].rabbitmq.routingkey: unknown key, ignored; "
                        + "the nearest known one is \"routingKey\"",
                ].joined(separator: "\n"))
    }

    @Test func settingsWithoutEffectAreWarnings() throws {
        #expect(
            try manifest("cors: true", "reservedConcurrency: 2", events: "- schedule: rate(1 minute)").warnings == [
                "functions.yml:4: functions.f.cors: has no effect: no browser calls a schedule",
                "functions.yml:5: functions.f.reservedConcurrency: has no effect: a schedule has one worker",
            ])
        #expect(
            try manifest("reservedConcurrency: 2", events: "- outbox: {service: customers}").warnings == [
                "functions.yml:4: functions.f.reservedConcurrency: has no effect: an outbox has one worker"
            ])
        #expect(try manifest("reservedConcurrency: 1", events: "- schedule: rate(1 minute)").warnings.isEmpty)
        let queue = "- rabbitmq: {queue: q, routingKey: x}"
        #expect(try manifest("cors: false", "reservedConcurrency: 2", events: queue).warnings.isEmpty)
    }

    @Test func theCommittedManifestIsCleanAndNginxConfIsRenderedFromIt() throws {
        let manifest = try Manifest.load(from: "\(Repository.root)/functions.yml")
        #expect(manifest.warnings.isEmpty)
        #expect(!manifest.functions.isEmpty)
        #expect(Manifest.drift(of: manifest.nginxConfiguration(.host), fileAt: "\(Repository.root)/nginx.conf") == nil)
    }
}
