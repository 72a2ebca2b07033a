import Runtime
import TestSupport
import Testing

@testable import Customers

/// The aggregate, without a database.
@Suite struct CustomerTests {
    private static let created = CustomerEvent.created(
        number: 7, email: EmailAddress(recorded: "a@b.example"), address: .home)
    private static let noon = Instant(microseconds: 1_795_262_400_000_000)

    private func recorded(_ version: Int, _ event: CustomerEvent) -> RecordedEvent {
        RecordedEvent(stream: "id", version: version, recordedAt: Self.noon, event: event)
    }

    private func customer(_ events: CustomerEvent...) throws -> Customer {
        let stream = ([Self.created] + events).enumerated().map { recorded($0.offset + 1, $0.element) }
        return try #require(Customer.replay(stream))
    }

    @Test func aStreamMakesACustomer() throws {
        let customer = try customer(.addressUpdated(.away), .purchased(at: Self.noon, order: "1"), .archived)
        #expect(customer.id == "id")
        #expect(customer.number == 7)
        #expect(customer.email.text == "a@b.example")
        #expect(customer.address == .away)
        #expect(customer.createdAt == Self.noon)
        #expect(customer.purchasedAt == Self.noon)
        #expect(customer.isArchived)
        #expect(customer.version == 4)
    }

    @Test func onlyAWholeStreamMakesACustomer() {
        #expect(Customer.replay([RecordedEvent]()) == nil)
        #expect(Customer.replay([recorded(1, .archived)]) == nil)
        #expect(Customer.replay([recorded(2, Self.created)]) == nil)
        #expect(Customer.replay([recorded(1, Self.created), recorded(3, .archived)]) == nil)
        #expect(Customer.replay([recorded(1, Self.created), recorded(1, .archived)]) == nil)
    }

    @Test func theSameAddressAgainChangesNothing() throws {
        #expect(try customer().moving(to: .home) == nil)
        #expect(try customer().moving(to: .away) == .addressUpdated(.away))
        let archived = try customer(.archived)
        #expect(problem { _ = try archived.moving(to: .away) }?.slug == "customer-archived")
        #expect(problem { _ = try archived.moving(to: .home) }?.slug == "customer-archived")
    }

    @Test func anAddressThatIsOnlyCanonicallyEquivalentIsAnotherOne() throws {
        let composed = PostalAddress(street: "Caf\u{E9} 1", city: "K\u{F6}ln", country: "DE")
        let decomposed = PostalAddress(street: "Caf\u{E9} 1", city: "Ko\u{308}ln", country: "DE")
        let customer = try customer(.addressUpdated(composed))
        #expect(try customer.moving(to: composed) == nil)
        #expect(try customer.moving(to: decomposed) != nil)
    }

    @Test func archivingTwiceIsOneEvent() throws {
        #expect(try customer().archiving() == .archived)
        #expect(try customer(.archived).archiving() == nil)
    }

    @Test func theYoungestOrderCounts() throws {
        let earlier = Instant(microseconds: Self.noon.microseconds - 1)
        #expect(try customer().buying(at: earlier, order: "1") == .purchased(at: earlier, order: "1"))
        let bought = try customer(.purchased(at: Self.noon, order: "2"))
        #expect(bought.buying(at: earlier, order: "1") == nil)
        #expect(bought.buying(at: Self.noon, order: "2") == nil)
        let later = Instant(microseconds: Self.noon.microseconds + 1)
        #expect(bought.buying(at: later, order: nil) == .purchased(at: later, order: nil))
        #expect(try customer(.archived).buying(at: later, order: nil) != nil)
    }

    @Test(
        "events come back from their data as they were",
        arguments: [
            created, .addressUpdated(.away), .archived, .purchased(at: noon, order: "9"),
            .purchased(at: noon, order: nil),
        ])
    func roundTrip(event: CustomerEvent) throws {
        let bytes = try JSON.encode(EventData(event))
        #expect(try JSON.decode(EventData.self, from: bytes).event(event.kind) == event)
    }

    @Test(
        "times are read as RFC 3339 and written in UTC",
        arguments: [
            ("2026-11-21T03:04:05Z", "2026-11-21T03:04:05Z"), ("2026-11-21T03:04:05.120Z", "2026-11-21T03:04:05.12Z"),
            ("2026-11-21T03:04:05.1234567Z", "2026-11-21T03:04:05.123456Z"),
            ("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00Z"), ("2024-02-28T23:30:00-01", "2024-02-29T00:30:00Z"),
            ("2026-11-21 03:04:05.5+00", "2026-11-21T03:04:05.5Z"), ("2026-11-21t03:04:05", "2026-11-21T03:04:05Z"),
            ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("9900-12-31T23:59:59Z", "9900-12-31T23:59:59Z"), ("2000-02-29T12:00:00Z", "2000-02-29T12:00:00Z"),
            // A leap second is at the end of a month in UTC, and the next second here.
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
            ("1990-12-31T15:59:60.25-08:00", "1991-01-01T00:00:00.25Z"),
        ])
    func times(text: String, meant: String) { #expect(Instant(text)?.text == meant) }

    @Test(
        "what is no time",
        arguments: [
            "", "2026-11-21", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
            "2026-11-21T24:00:00Z", "2026-11-21T23:60:00Z", "2026-11-21T23:59:60Z", "2016-12-31T23:58:60Z",
            "2016-12-31T23:59:60+01:00", "2016-12-31T23:59:61Z", "9999-12-31T23:59:60Z", "2026-11-21T23:59:59.Z",
            "2026-11-21T23:59:59Zx", "2026-11-21T23:59:59+1", "2026-11-21T23:59:59+01:60", "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00",
            "infinity", "20261121T030405Z", "-2026-01-01T00:00:00Z", "２０26-01-01T00:00:00Z",
        ])
    func noTimes(text: String) { #expect(Instant(text) == nil) }

    @Test(
        "If-Match, as RFC 9110 has it",
        arguments: [
            ("*", Precondition.none), (" * ", .none), ("\"3\"", .oneOf(["\"3\""])),
            ("\"1\", \"2\" ,\"3\"", .oneOf(["\"1\"", "\"2\"", "\"3\""])), ("W/\"3\"", .oneOf([])),
            ("W/\"3\", \"4\"", .oneOf(["\"4\""])), ("3", .oneOf([])), ("", .oneOf([])), ("\"3", .oneOf([])),
            ("*, \"3\"", .oneOf([])), ("\"a,b\"", .oneOf(["\"a,b\""])), (",\"3\",", .oneOf(["\"3\""])),
        ])
    func ifMatch(header: String, meant: Precondition) throws {
        #expect(Precondition(ifMatch: header) == meant)
        let third = try customer(.addressUpdated(.away), .addressUpdated(.home))
        let isMet = problem { try meant.check(third) } == nil
        #expect(
            isMet == (meant == .none || header.contains("\"3\"") && !header.contains("W/") && !header.contains("*")))
    }
}
