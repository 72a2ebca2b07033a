import Foundation
import Postgres
import Runtime
import TestSupport
import Testing
import Yams

/// The running services keep to openapi.yml and asyncapi.yml.
@Suite(.serialized) struct ConformanceTests {
    let shop: PrivateInstance

    init() throws { shop = try PrivateInstance.conforming.get() }

    /// Decides what is made up; `CONFORMANCE_SEED` tries another.
    private static let seed = ProcessInfo.processInfo.environment["CONFORMANCE_SEED"] ?? "20261121"

    /// Schemathesis makes up requests from openapi.yml and holds every answer against it: no 5xx, no status, content
    /// type, header or body that is not described, nothing wrong accepted, nothing right refused.
    @Test func everyAnswerIsInTheDocument() throws {
        let tally = shop.scratch("tally.json")
        let credentials = try shop.credentials().map(\.1)
        let gateway = "http://127.0.0.1:\(shop.port)"
        let run = try TestProcess.run(
            "timeout",
            [
                "1200", try installed("schemathesis"), "--no-color", "run", "../../openapi.yml", "--url", gateway,
                "--seed", Self.seed,
            ],
            environment: [
                "ECOMMERCE_API_KEY": credentials[0], "ECOMMERCE_API_SECRET": credentials[1],
                "TAPROOM_KNOWN": try knownIDs(), "TAPROOM_TALLY": tally,
            ], folder: Repository.root + "/Tests/Conformance")
        try #require(
            run.status == 0, "schemathesis --seed \(Self.seed) ended with \(run.status):\n\(run.output)\(run.errors)")

        let counts = try JSONDecoder().decode([String: Int].self, from: Data(contentsOf: URL(filePath: tally)))
        print("Schemathesis, seed \(Self.seed): \(counts.values.reduce(0, +)) requests conform to openapi.yml")
        for operation in try operations() {
            let successes = counts.filter { $0.key.hasPrefix(operation + " 2") }
            #expect(!successes.isEmpty, "no request to \(operation) succeeded")
        }
    }

    /// What the services have decided, here and for all the requests above, is as asyncapi.yml describes it; every type
    /// of event is among it.
    @Test func everyEventIsInTheDocument() throws {
        let club = try shop.club(in: try shop.database())
        let subscription = try shop.subscription(inClub: club)
        for change in [#"{"status_id":3,"interval":30}"#, #"{"status_id":2}"#, #"{"status_id":1}"#] {
            try #require(try post("/subscription/\(subscription)/status/", change) == 200)
        }
        // The request id is one that made another customer's order, so the platform declines.
        let taken = shop.unique("order")
        let order = try shop.http.request(
            "POST", "/ecommerce/order/\(taken)", headers: shop.credentials(), json: #"{"customer_id":"x","sku_id":1}"#)
        try #require(order.status == 200)
        try #require(try post("/subscription/\(subscription)/charge/\(taken)") == 402)
        try #require(try post("/subscription/\(subscription)/charge/\(shop.unique("order"))") == 200)
        let customer = try customer()
        let moved = try shop.http.request(
            "PUT", "/api/v1/customers/\(customer)/address",
            json: #"{"street":"Malt Row 1","city":"Leuven","country":"Belgium"}"#)
        try #require(moved.status == 200)
        try #require(try post("/api/v1/customers/\(customer)/archive") == 200)

        guard case .object(let databases)? = try shop.status()["databases"] else {
            throw PrivateInstance.Failed(description: "no databases")
        }
        let events = try databases.keys.sorted().flatMap { service -> [String] in
            let database = try shop.database(service)
            let hasOutbox = try database.execute("SELECT to_regclass('outbox') IS NOT NULL", deadline: .soon)[0]
            guard try hasOutbox.decode(Bool.self) else { return [] }
            return try database.execute("SELECT type, data FROM outbox ORDER BY position", deadline: .soon).map { row in
                let (type, data) = try row.decode(String.self, String.self)
                return #"{"type":"\#(type)","data":\#(data)}"#
            }
        }
        let check = try TestProcess.run(
            try installed("python"), ["check_events.py", "../../asyncapi.yml"], input: events.joined(separator: "\n"),
            folder: Repository.root + "/Tests/Conformance")
        #expect(check.status == 0, "\(check.output)\(check.errors)")
        print("\(events.count) events conform to asyncapi.yml")
    }

    private func installed(_ program: String) throws -> String {
        let path = Repository.root + "/.build/python/bin/\(program)"
        try #require(
            FileManager.default.isExecutableFile(atPath: path), "\(path) is missing: run scripts/install-python test")
        return path
    }

    private func post(_ path: String, _ body: String = "{}") throws -> Int {
        try shop.http.request("POST", path, json: body).status
    }

    /// Every `METHOD path` of openapi.yml.
    private func operations() throws -> [String] {
        let text = try String(contentsOfFile: Repository.root + "/openapi.yml", encoding: .utf8)
        let paths = try Yams.compose(yaml: text)?["paths"]?.mapping ?? [:]
        let operations = paths.flatMap { path, item in
            ["get", "put", "post", "delete"].filter { item[$0] != nil }.map {
                "\($0.uppercased()) \(path.string ?? "")"
            }
        }
        return try #require(operations.isEmpty ? nil : operations)
    }

    /// Things of every kind and state, those that the document's examples name among them.
    private func knownIDs() throws -> String {
        let database = try shop.database()
        let clubs = try [1, 1, 2, 3].map { try shop.club(in: database, status: $0) }
        let example = "0193b8a0-6c4e-7f21-9d3a-4b5c6d7e8f90"
        try database.execute(
            "INSERT INTO subscription VALUES (\(example), \(clubs[1]), 'example', now() AT TIME ZONE 'UTC')",
            deadline: .soon)
        let charged = try [example] + (0..<4).map { _ in try shop.subscription(inClub: clubs[0]) }
        let changed = try (0..<4).map { _ in try shop.subscription(inClub: clubs[0]) }
        let customers = try (0..<6).map { _ in try customer() }
        try #require(try post("/api/v1/customers/\(customers[3])/archive") == 200)
        let known = [
            ("/club/", "\(clubs)"), ("POST /subscription/{id}/status/", "\(changed)"),
            ("/subscription/", "\(charged)"), ("DELETE /api/v1/customers/{id}", "\(customers[3...4])"),
            ("POST /api/v1/customers/{id}/archive", "\(customers[4...5])"),
            ("/api/v1/customers/", "\(customers[...3])"),
        ]
        return "{" + known.map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}"
    }

    private func customer() throws -> String {
        let answer = try shop.http.request(
            "POST", "/api/v1/customers",
            json: #"""
                {"email": "\#(shop.unique("barley"))@example.com",
                "address": {"street": "Hop Lane 4", "city": "Bamberg", "country": "Germany"}}
                """#)
        try #require(answer.status == 201)
        return try #require(try answer.json()["id"]?.string)
    }
}
