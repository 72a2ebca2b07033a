import FoundationEssentials
import Migrations
import TestSupport
import Testing

/// docs/schema/ shows what the migrations come to, so that nobody has to put the latest of each function together.
@Suite struct SchemaDocumentTests {
    @Test(
        "the document is what the migrations make; \"make schema\" writes it",
        arguments: ["customers", "orders", "subscriptions"])
    func document(service: String) throws {
        let url = try PostgresServer.shared.freshDatabase()
        let connection = try PostgresServer.shared.connect(to: url)
        try Migrator(connection: connection, folder: .load("\(Repository.root)/migrations/\(service)")).upgrade()
        let schema = """
            -- What migrations/\(service)/ makes of an empty database. Written by "make schema".

            \(try PostgresServer.shared.schema(url))

            """
        let file = "\(Repository.root)/docs/schema/\(service).sql"
        if ProcessInfo.processInfo.environment["WRITE_SCHEMA"] != nil {
            try schema.write(toFile: file, atomically: true, encoding: .utf8)
        }
        #expect(try String(contentsOfFile: file, encoding: .utf8) == schema, "run make schema")
    }
}
