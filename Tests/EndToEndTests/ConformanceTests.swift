import Foundation
import Postgres
import Runtime
import TestSupport
import Testing
import Yams

/// Schemathesis makes up requests from openapi.yml and holds every answer against it: no 5xx, no status, content type,
/// header or body that is not described, nothing wrong accepted, nothing right refused.
@Suite struct ConformanceTests {
    let shop: PrivateInstance

    init() throws { shop = try PrivateInstance.conforming.get() }

    /// Decides what is made up; `CONFORMANCE_SEED` tries another.
    private static let seed = ProcessInfo.processInfo.environment["CONFORMANCE_SEED"] ?? "20261121"

    @Test func everyAnswerIsInTheDocument() throws {
        let program = PrivateInstance.root + "/.build/python/bin/schemathesis"
        try #require(
            FileManager.default.isExecutableFile(atPath: program),
            "Schemathesis is missing: run scripts/install-python test")
        let document = PrivateInstance.root + "/openapi.yml"
        let tally = shop.scratch("tally.json")
        let credentials = try shop.credentials().map(\.1)
        let run = try Subprocess.run(
            "timeout",
            [
                "400", program, "--no-color", "run", document, "--url", "http://127.0.0.1:\(shop.port)", "--seed",
                Self.seed,
            ],
            environment: [
                "ECOMMERCE_API_KEY": credentials[0], "ECOMMERCE_API_SECRET": credentials[1],
                "TAPROOM_KNOWN": try knownIDs(), "TAPROOM_TALLY": tally,
            ], folder: PrivateInstance.root + "/Tests/Schemathesis")
        try #require(
            run.status == 0, "schemathesis --seed \(Self.seed) ended with \(run.status):\n\(run.output)\(run.errors)")

        let counts = try JSONDecoder().decode([String: Int].self, from: Data(contentsOf: URL(filePath: tally)))
        print("Schemathesis, seed \(Self.seed): \(counts.values.reduce(0, +)) requests conform to openapi.yml")
        for operation in try operations(document) {
            let successes = counts.filter { $0.key.hasPrefix(operation + " 2") }
            #expect(!successes.isEmpty, "no request to \(operation) succeeded")
        }
    }

    /// Every `METHOD path` of the document.
    private func operations(_ document: String) throws -> [String] {
        let text = try String(contentsOfFile: document, encoding: .utf8)
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
        let soon = Deadline.after(milliseconds: 20_000)
        try database.execute(
            "INSERT INTO subscription VALUES (\(example), \(clubs[1]), 'example', now() AT TIME ZONE 'UTC')",
            deadline: soon)
        let subscriptions = try [example] + (0..<5).map { _ in try shop.subscription(inClub: clubs[0]) }
        for (subscription, status) in zip(subscriptions.suffix(2), [2, 3]) {
            let answer = try shop.http.request(
                "POST", "/subscription/\(subscription)/status/", json: #"{"status_id":\#(status)}"#)
            try #require(answer.status == 200)
        }
        let known = ["/club/": "\(clubs)", "/subscription/": "\(subscriptions)"]
        return "{" + known.map { "\"\($0.key)\":\($0.value)" }.joined(separator: ",") + "}"
    }
}
