import Postgres
import Runtime
import TestSupport
import Testing

/// `taproom migrate` beside a second service.
@Suite struct SeveralServicesTests {
    private let fixture: Fixture
    private let url: String
    private var orders: [String: String] { ["TAPROOM_DATABASES_ORDERS": url] }

    init() throws {
        fixture = try Fixture()
        url = try PostgresServer.shared.freshDatabase()
        try fixture.project.write(
            "migrations/orders/dd44_orders.sql",
            Fixture.file("dd44", after: "none"))
    }

    @Test func aRefusalNamesTheServiceItIsAbout() throws {
        let relative = try fixture.taproom("upgrade", "+2", environment: orders)
        #expect(relative.errors == "FAILED: orders: Relative revision +2 didn't produce 2 migrations\n")
        #expect(try fixture.taproom("upgrade", "head", environment: orders).status == 0)
        try fixture.connection.run(script: "INSERT INTO alembic_version VALUES ('ee55')", deadline: .never)
        for verb in [["upgrade", "head"], ["stamp", "head"]] {
            let several = try fixture.taproom(verb[0], verb[1], environment: orders)
            #expect(several.errors.contains("FAILED: subscriptions: alembic_version holds 2 revisions"))
            #expect(several.errors.contains("stamp --purge"))
        }
        try fixture.connection.run(script: "DELETE FROM alembic_version WHERE version_num <> 'ee55'", deadline: .never)
        for verb in [["upgrade", "head"], ["show", "current"]] {
            let unknown = try fixture.taproom("--service", "subscriptions", verb[0], verb[1])
            #expect(unknown.errors.contains("FAILED: subscriptions: Can't locate revision identified by 'ee55'"))
        }
        let current = try fixture.taproom("current", environment: orders)
        #expect(current.errors == "FAILED: subscriptions: Can't locate revision identified by 'ee55'\n")
    }

    @Test func aConfigurationThatIsNotThereIsToldOnce() throws {
        let unset = ["TAPROOM_DATABASES_SUBSCRIPTIONS": "", "TAPROOM_DATABASES_ORDERS": ""]
        let absent = try fixture.taproom("-x", "scope=prod", "current", environment: unset)
        #expect(absent.status == 1)
        #expect(absent.errors.ranges(of: "prod_config.json is not usable").count == 1, "\(absent.errors)")
    }
}
