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

    /// The types that stand in the functions of databases at head, of every service that has an outbox.
    private func publishedByDatabases() throws -> [String] {
        try EventTables.scripts().keys.sorted().flatMap { service in
            let url = try PostgresServer.shared.freshDatabase()
            let migration = try TestProcess.run(
                TestProcess.product("taproom"),
                ["migrate", "--config", "model_config.json", "--service", service, "upgrade", "head"],
                environment: ["TAPROOM_DATABASES_\(service.uppercased())": url], folder: Repository.root)
            try #require(migration.status == 0, "\(migration.errors)")
            // A name that begins with “taproom” is that of a setting.
            return try PostgresServer.shared.connect(to: url).execute(
                """
                SELECT DISTINCT (regexp_matches(prosrc || coalesce(pg_get_function_sqlbody(oid), ''),
                    $$'((?!taproom)[a-z_]+[.][a-z_]+)'$$, 'g'))[1]
                FROM pg_proc WHERE pronamespace = 'public'::regnamespace
                """, deadline: .soon
            ).map { try $0.decode(String.self) }
        }
    }

    /// What a source file gives an `OutgoingEvent` as its type.
    private func typeArguments(in source: String) -> [String] {
        source.matches(of: #/\(\s*type:\s*([^,]+),\s*subject:/#).map { String($0.1) }
    }

    /// The types that are written out in the code of functions and domains; those of customers are `published`.
    private func publishedByCode() throws -> [String] {
        let sources = try FileManager.default.subpathsOfDirectory(atPath: Repository.root + "/Sources")
        return try sources.filter {
            $0.hasSuffix(".swift") && !["Events/Outbox.swift", "Customers/PublishedEvent.swift"].contains($0)
        }.flatMap { path in
            try typeArguments(in: readText("Sources/\(path)")).map { argument in
                let literal = try #require(
                    argument.wholeMatch(of: #/"([^"\\]+)"/#), "\(path): write the type of the event out: \(argument)")
                return String(literal.1)
            }
        }
    }

    @Test func everyPublishedTypeIsInTheDocument() throws {
        let types = try Set(published().map(\.type) + publishedByDatabases() + publishedByCode())
        let differing = try document.types("send").symmetricDifference(types)
        #expect(differing == [])
    }

    @Test func typesAreFoundWhereAFunctionPublishesThem() {
        let source = """
            let event = try OutgoingEvent(
                type: "parcel.sent", subject: parcel.id, sequence: 1, data: parcel)
            return [event, try .init(type: Parcel.lost, subject: id, sequence: number, data: parcel)]
            """
        #expect(typeArguments(in: source) == ["\"parcel.sent\"", "Parcel.lost"])
    }

    /// What is consumed and not documented, or documented as received and not consumed.
    private func differences(consumed: [String], sent: Set<String>, received: Set<String>) -> Set<String> {
        func isConsumed(_ type: String) -> Bool { consumed.contains { matches(type, pattern: $0) } }
        let unknown = consumed.filter { key in !sent.union(received).contains { matches($0, pattern: key) } }
        return Set(unknown).union(received.filter { !isConsumed($0) || sent.contains($0) })
    }

    /// As a topic exchange does: `*` is one word, `#` any number of them.
    private func matches(_ type: String, pattern: String) -> Bool {
        func matches(_ words: ArraySlice<Substring>, _ pattern: ArraySlice<Substring>) -> Bool {
            guard let first = pattern.first else { return words.isEmpty }
            let rest = pattern.dropFirst()
            if first == "#" { return matches(words, rest) || !words.isEmpty && matches(words.dropFirst(), pattern) }
            return (first == "*" && !words.isEmpty || first == words.first) && matches(words.dropFirst(), rest)
        }
        return matches(type.split(separator: ".")[...], pattern.split(separator: ".")[...])
    }

    @Test func everyConsumedTypeIsInTheDocument() throws {
        let manifest = try Manifest.load(from: Repository.root + "/functions.yml")
        let consumed = manifest.functions.compactMap(\.queue).flatMap(\.topology.routingKeys)
        let differing = try differences(
            consumed: consumed, sent: document.types("send"), received: document.types("receive"))
        #expect(differing == [])
    }

    @Test(
        "a consumer's keys are patterns: each matches something documented",
        arguments: [
            ("subscription.*", true), ("subscription.#", true), ("#", true), ("*.paused", true), ("order.#", true),
            ("subscription.paused", true), ("subscription.*.*", false), ("parcel.*", false), ("order", false),
            ("subscription.stopped", false),
        ])
    func consumedPatterns(key: String, isDocumented: Bool) {
        let found = differences(
            consumed: [key, "order.completed"], sent: ["subscription.paused"], received: ["order.completed"])
        #expect(found == (isDocumented ? [] : [key]))
    }

    @Test func customersPublishWhatTheDocumentDescribes() throws {
        for event in try published() {
            let schema = try #require(try document.message(event.type)["payload"])
            let data = try TestJSON(parsing: event.data)
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
