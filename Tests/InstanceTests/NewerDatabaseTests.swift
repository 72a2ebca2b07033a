import Foundation
import Glibc
import Postgres
import TestSupport
import Testing

@testable import Instance

/// An older checkout, started on what a newer one has left.
@Suite struct NewerDatabaseTests {
    @Test("an embedded database that a newer release has migrated serves the older one") func newerDatabase() throws {
        let project = try EventProject()
        let instance = try TestInstance(folder: project.folder, tool: project.tool)
        let newer = "migrations/shop/aa11aa11aa11_newer.sql"
        try project.folder.write(
            newer,
            """
            -- revision: aa11aa11aa11
            -- down revision: 0123456789ab
            -- message: newer

            -- migrate: up
            -- migrate: down

            """)
        let first = try instance.run("up")
        try #require(first.status == 0, "\(first)")
        let database = try #require(instance.report().databases["shop"])
        func run(_ script: String) throws {
            try PostgresServer.shared.connect(to: database).run(script: script, deadline: .soon)
        }
        try run("UPDATE taproom_migration SET checksum = 'edited' WHERE revision = '0123456789ab'")
        #expect(try instance.run("doctor").output.contains("edited since it was applied"))

        try project.folder.remove(newer)
        #expect(try instance.run("down").status == 0)
        let older = try instance.run("up")
        #expect(older.status == 0, "\(older)")
        #expect(try instance.report().functions.allSatisfy { $0.state == "running" })

        try run("DELETE FROM taproom_migration WHERE revision = '0123456789ab'")
        let unknown = try instance.run("up")
        #expect(unknown.status == 1 && unknown.errors.contains("downgrade with that one first"), "\(unknown)")
        #expect(!unknown.errors.contains("stamp"), "\(unknown)")
        #expect(try instance.run("down").status == 0)
    }
}
