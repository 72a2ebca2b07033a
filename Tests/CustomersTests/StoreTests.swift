import Events
import Migrations
import Postgres
import Runtime
import TestSupport
import Testing

@testable import Customers

@Suite struct StoreTests {
    let register: Register

    init() throws { register = try Register() }

    private func types(_ id: String) throws -> [String] {
        try register.texts("SELECT type FROM customer_event WHERE stream = \(id) ORDER BY version")
    }

    private func published(_ id: String) throws -> [String] {
        try register.texts("SELECT type FROM outbox WHERE subject = \(id) ORDER BY position")
    }

    @Test func theReadModelFollowsTheStream() throws {
        let made = try register.create("Barley@Example.com")
        #expect(try register.customer(made.id) == made)
        let moved = try register.move(made.id, .away)
        #expect(moved.version == 2 && moved.address == .away && moved.createdAt == made.createdAt)
        try register.buy("barley@example.COM", at: "2026-11-01T10:00:00+02:00")
        let archived = try register.archive(made.id)
        #expect(archived.version == 4)
        #expect(archived.purchasedAt?.text == "2026-11-01T08:00:00Z")
        #expect(archived.email.text == "Barley@Example.com")
        #expect(try register.customer(made.id) == archived)
        #expect(try register.folded(made.id) == archived)
    }

    @Test func theOutboxSaysWhatTheStreamDoes() throws {
        let made = try register.create()
        _ = try register.move(made.id, .away)
        _ = try register.move(made.id, .away)
        try register.buy(made.email.text, at: "2026-11-01T10:00:00Z")
        let archived = try register.archive(made.id)
        _ = try register.archive(made.id)
        #expect(
            try types(made.id)
                == ["customer.created", "customer.address_updated", "customer.purchased", "customer.archived"])
        let rows = try register.run(
            """
            SELECT type, sequence, data, correlation_id, causation_id, traceparent FROM outbox
            WHERE subject = \(made.id) ORDER BY position
            """
        ).map { try $0.decode(String.self, Int.self, String.self, String?.self, String?.self, String?.self) }
        try #require(rows.map(\.0) == ["customer.created", "customer.address_updated", "customer.archived"])
        #expect(rows.map(\.1) == [1, 2, 4])
        let first = try TestJSON(parsing: rows[0].2)
        let address = try TestJSON(parsing: JSON.encode(PostalAddress.home))
        #expect(first == .object(["id": .string(made.id), "email": .string(made.email.text), "address": address]))
        #expect(try TestJSON(parsing: rows[2].2)["customer"] == TestJSON(parsing: JSON.encode(archived)))
        #expect(rows.allSatisfy { $0.3 == "request" && $0.4 == "request" && $0.5 == Register.cause.traceparent })
    }

    @Test func anEmailIsTakenForEverInWhateverCase() throws {
        let made = try register.create("One@Example.com")
        let refusal = problem { _ = try register.create("oNE@eXAMPLE.COM") }
        #expect(refusal?.slug == "email-taken")
        #expect(refusal?.extensions.isEmpty == true && refusal?.detail.contains(made.id) == false)
        _ = try register.archive(made.id)
        #expect(problem { _ = try register.create("one@example.com") }?.status == 409)
        #expect(try register.count("SELECT count(*) FROM customer_event") == 2)
        #expect(try register.count("SELECT count(*) FROM outbox") == 2)
    }

    @Test("of many who create with one email, in whatever case, one succeeds")
    func racingCreates() throws {
        let outcomes = try concurrently(24) { [register] index in
            let email = String(
                "shared@example.com".enumerated().map {
                    (index >> ($0.offset % 5)) & 1 == 1 ? Character($0.element.uppercased()) : $0.element
                })
            return problem { _ = try register.create(email) }?.slug ?? "created"
        }
        #expect(outcomes.count { $0 == "created" } == 1)
        #expect(outcomes.count { $0 == "email-taken" } == 23)
        #expect(try register.count("SELECT count(*) FROM customer") == 1)
        #expect(try register.count("SELECT count(*) FROM outbox") == 1)
    }

    @Test("of many who change the version they have seen, one succeeds")
    func racingChangesOfOneVersion() throws {
        let made = try register.create()
        let outcomes = try concurrently(16) { [register] index in
            problem { _ = try register.move(made.id, .numbered(index), if: .oneOf(["\"1\""])) }?.status ?? 200
        }
        #expect(outcomes.count { $0 == 200 } == 1)
        #expect(outcomes.count { $0 == 412 } == 15)
        #expect(try register.customer(made.id).version == 2)
    }

    @Test("many who name no version all get their turn, one after the other")
    func racingChanges() throws {
        let made = try register.create()
        let versions = try concurrently(16) { [register] index in
            try (0..<4).map { try register.move(made.id, .numbered(index * 4 + $0)).version }
        }
        #expect(versions.flatMap { $0 }.sorted() == Array(2...65))
        #expect(try register.folded(made.id) == register.customer(made.id))
        let order = try register.run("SELECT sequence FROM outbox WHERE subject = \(made.id) ORDER BY position")
            .map { try $0.decode(Int.self) }
        #expect(order == Array(1...65))
    }

    @Test func writesToAnArchivedCustomerAreRefused() throws {
        let made = try register.create()
        _ = try register.archive(made.id)
        #expect(problem { _ = try register.move(made.id, .away) }?.slug == "customer-archived")
        #expect(problem { _ = try register.move(made.id, .home) }?.slug == "customer-archived")
        // The version is looked at first: who asks about an old one must learn that.
        #expect(problem { _ = try register.move(made.id, .away, if: .oneOf(["\"1\""])) }?.status == 412)
        #expect(problem { _ = try register.archive(made.id, if: .oneOf(["\"1\""])) }?.status == 412)
        #expect(try register.archive(made.id, if: .oneOf(["\"2\""])).version == 2)
        #expect(try published(made.id) == ["customer.created", "customer.archived"])
    }

    @Test func whoIsNotThereCannotChange() {
        #expect(problem { _ = try register.move("nobody", .away) }?.slug == "customer-not-found")
        #expect(problem { _ = try register.archive("nobody", if: .oneOf(["\"1\""])) }?.slug == "customer-not-found")
        #expect(problem { _ = try register.customer("nobody") }?.slug == "customer-not-found")
    }

    @Test("completed orders in any order, more than once, at the same time: the latest counts")
    func completedOrders() throws {
        let made = try register.create()
        let days = [5, 3, 9, 9, 1, 7, 9, 3].shuffled()
        _ = try concurrently(days.count) { [register] index in
            try register.buy(made.email.text.uppercased(), at: "2026-11-0\(days[index])T00:00:00Z")
        }
        let after = try register.customer(made.id)
        #expect(after.purchasedAt?.text == "2026-11-09T00:00:00Z")
        try register.buy(made.email.text, at: "2026-11-08T23:59:59.999999Z")
        try register.buy(made.email.text, at: "2026-11-09T01:00:00+01:00")
        #expect(try register.customer(made.id) == after, "neither an older nor the same time changes anything")
        #expect(try register.folded(made.id) == after)
        #expect(try published(made.id) == ["customer.created"])
        _ = try register.archive(made.id)
        try register.buy(made.email.text, at: "2026-11-10T00:00:00Z")
        #expect(try register.customer(made.id).purchasedAt?.text == "2026-11-10T00:00:00Z")
    }

    @Test func anOrderOfAnUnknownCustomerFailsForNow() throws {
        #expect(throws: UnknownCustomer.self) { try register.buy("nobody@example.com", at: "2026-11-01T00:00:00Z") }
        #expect(throws: CompletedOrder.Unusable.self) { try register.buy("nobody@example.com", at: "yesterday") }
        let made = try register.create("nobody@example.com")
        try register.buy("nobody@example.com", at: "2026-11-01T00:00:00Z")
        #expect(try register.customer(made.id).purchasedAt != nil)
    }

    @Test("events are never changed, by whatever means; they may go, as every row may")
    func unchanged() throws {
        _ = try register.create()
        let session = try register.session()
        for statement in [
            "UPDATE customer_event SET data = '{}'", "UPDATE customer_event SET data = '{}' WHERE false",
            "SET session_replication_role = replica; UPDATE customer_event SET data = '{}'",
        ] {
            let refusal = #expect(throws: PostgresError.self) {
                try session.run(script: statement, deadline: .soon)
            }
            #expect(refusal?.sqlState == "23001", "\(statement)")
        }
        #expect(try register.count("SELECT count(*) FROM customer_event WHERE data <> '{}'") == 1)
        for statement in ["DELETE FROM customer_event", "TRUNCATE customer_event"] {
            _ = try register.create()
            try session.run(script: statement, deadline: .soon)
            #expect(try register.count("SELECT count(*) FROM customer_event") == 0, "\(statement)")
        }
    }

    @Test("who deletes from every table is not refused, and the service goes on from empty")
    func clearing() throws {
        let made = try register.create("barley@example.com")
        _ = try register.move(made.id, .away)
        try register.session().deleteEverything(deadline: .soon)
        #expect(try register.list() == [[]])
        let again = try register.create("barley@example.com")
        #expect(try register.archive(again.id).version == 2)
        #expect(try register.found("barley") == ["barley@example.com"])
        let rebuild = try CustomerRebuild(reader: register.session(), writer: register.session())
        #expect(try rebuild.run(deadline: .soon) == 1)
        #expect(try published(again.id) == ["customer.created", "customer.archived"])
    }

    @Test func theMigrationCanBeTakenBack() throws {
        let migrator = try register.migrator()
        try migrator.downgrade(to: "base")
        #expect(
            try register.count("SELECT count(*) FROM pg_class WHERE relname ~ '^(customer|outbox|inbox|email)'") == 0)
        try migrator.upgrade()
        _ = try register.create()
    }

    @Test func theRelayIsWokenForWhatIsPublishedAndForNothingElse() throws {
        let pipe = try RelayPipe()
        let store = CustomerStore(register.database, RelaySignal(Settings(["OUTBOX_SIGNAL": pipe.path])))
        let email = try #require(EmailAddress("barley@example.com"))
        let made = try store.create(email: email, address: .home, cause: Register.cause, deadline: .soon)
        #expect(pipe.wakings() == 1)
        let taken = problem {
            _ = try store.create(email: email, address: .home, cause: Register.cause, deadline: .soon)
        }
        #expect(taken?.slug == "email-taken" && pipe.wakings() == 0)
        for _ in 1...2 {
            _ = try store.updateAddress(of: made.id, to: .away, if: .none, cause: Register.cause, deadline: .soon)
        }
        #expect(pipe.wakings() == 1, "the same address again changes nothing")
    }
}
