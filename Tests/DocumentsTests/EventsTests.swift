import FoundationEssentials
import Manifest
import Postgres
import Runtime
import TestSupport
import Testing
import Yams

@testable import Customers
@testable import Events
@testable import Messaging

/// asyncapi.yml says what the types and the code say.
@Suite struct EventsTests {
    let document: EventDocument

    init() throws { document = try EventDocument.load() }

    /// Every kind of event in turn; a new one does not compile until it stands here.
    private func following(_ event: CustomerEvent?) -> CustomerEvent? {
        switch event {
        case nil: .created(number: 1, email: EmailAddress(recorded: "barley@example.com"), address: address)
        case .created: .addressUpdated(address)
        case .addressUpdated: .archived
        case .archived: .purchased(at: Instant(microseconds: 0), order: "1")
        case .purchased: nil
        }
    }

    private let address = PostalAddress(street: "Hop Lane 4", city: "Bamberg", country: "Germany")

    /// What customers publish, with every member there is.
    private func published() throws -> [OutgoingEvent] {
        let customer = Customer(
            id: "0193b8a2-1f60-7c0d-a5b4-3c2d1e0f9a8b", number: 1, email: EmailAddress(recorded: "barley@example.com"),
            address: address, createdAt: Instant(microseconds: 0), isArchived: true,
            purchasedAt: Instant(microseconds: 1), version: 3)
        return try sequence(first: following(nil), next: { event in event.map { following($0) } })
            .compactMap(\.self).compactMap { try PublishedEvent.event(for: $0, customer) }
    }

    /// The types that stand in the functions of a subscriptions database at head.
    private func publishedBySubscriptions() throws -> [String] {
        let url = try PostgresServer.shared.freshDatabase()
        let migration = try Subprocess.run(
            Subprocess.product("taproom"),
            ["migrate", "--config", "model_config.json", "--service", "subscriptions", "upgrade", "head"],
            environment: ["TAPROOM_DATABASES_SUBSCRIPTIONS": url], folder: Repository.root)
        try #require(migration.status == 0, "\(migration.errors)")
        return try PostgresServer.shared.connect(to: url).execute(
            """
            SELECT DISTINCT (regexp_matches(pg_get_functiondef(oid), $$'(subscription[.][a-z_]+)'$$, 'g'))[1]
            FROM pg_proc WHERE pronamespace = 'public'::regnamespace
            """, deadline: .after(milliseconds: 60_000)
        ).map { try $0.decode(String.self) }
    }

    @Test func everyPublishedTypeIsInTheDocument() throws {
        let types = try Set(published().map(\.type) + publishedBySubscriptions())
        let differing = try document.types("send").symmetricDifference(types)
        #expect(differing == [])
    }

    @Test func everyConsumedTypeIsInTheDocument() throws {
        let manifest = try Manifest.load(from: Repository.root + "/functions.yml")
        let consumed = Set(manifest.functions.compactMap(\.queue).flatMap(\.topology.routingKeys))
        let ours = try document.types("send")
        #expect(try document.types("receive") == consumed.subtracting(ours))
    }

    @Test func customersPublishWhatTheDocumentDescribes() throws {
        for event in try published() {
            let schema = try #require(try document.message(event.type)["payload"])
            let data = try JSONValue(parsing: event.data)
            let differing = try members(of: data).symmetricDifference(document.members(of: schema))
            #expect(differing == [], "\(event.type)")
        }
    }

    @Test func aCompletedOrderIsReadAsTheDocumentShowsIt() throws {
        let message = try document.message("order.completed")
        let example = try #require(message["examples"]?.sequence?.first?["payload"])
        let order = try JSONDecoder().decode(CompletedOrder.self, from: Data(json(example).utf8))
        #expect(order.email == example["customer_email"]?.string)
        #expect(order.createdAt == example["order_created_at"]?.string)
        let schema = try #require(message["payload"])
        let members: Set = ["/order", "/order/id", "/customer_email", "/order_created_at"]
        #expect(try document.members(of: schema) == members)
    }

    @Test func theHeadersAreThoseOfTheEnvelope() throws {
        let cause = EventCause(traceparent: "t", correlationID: "c", causationID: "d")
        let envelope = Envelope(
            id: "i", type: "y", source: "s", subject: "u", time: "m", sequence: 1, cause: cause)
        let schema = try #require(document.document.root["components"]?["schemas"]?["CloudEventHeaders"])
        let headers = Set(envelope.message(data: "{}").headers.keys.map { "/\($0)" })
        let differing = try document.members(of: schema).symmetricDifference(headers)
        #expect(differing == [])
    }

    @Test func everyReferenceLeadsSomewhere() {
        document.document.root.walk { path, node in
            guard let reference = node["$ref"]?.string else { return }
            #expect(document.document.target(of: reference) != nil, "\(path): \(reference)")
        }
    }

    /// A node of flat YAML as JSON.
    private func json(_ node: Node) -> String {
        if let mapping = node.mapping {
            return "{" + mapping.map { "\"\($0.key.string ?? "")\":\(json($0.value))" }.joined(separator: ",") + "}"
        }
        return "\"\(node.string ?? "")\""
    }
}
