import Postgres
import Runtime
import TestSupport
import Testing

@testable import Customers

/// The consumer as a process, with one event at a time: through the same path as one from the broker, inbox included.
@Suite struct OrderCompletedTests {
    let register: Register

    init() throws { register = try Register() }

    private func event(_ id: String, _ data: String) -> String {
        #"{"specversion": "1.0", "id": "\#(id)", "type": "order.completed", "source": "/taproom/orders", "data": \#(data)}"#
    }

    private func run(_ event: String) throws -> FunctionRun {
        try FunctionRun(
            "OrderCompletedFunction", arguments: ["--event"],
            environment: ["DATABASE_URL": register.url, "TAPROOM_FUNCTION": "order-completed"],
            input: Array(event.utf8))
    }

    private func completed(_ email: String, _ time: String) -> String {
        #"{"order": {"id": 7, "total": 1}, "customer_email": "\#(email)", "order_created_at": "\#(time)"}"#
    }

    @Test func remembersThePurchaseOnce() throws {
        let made = try register.create()
        #expect(try run(event("e1", completed(made.email.text, "2026-11-02T00:00:00Z"))).end == .exited(0))
        #expect(try register.customer(made.id).purchasedAt?.text == "2026-11-02T00:00:00Z")
        #expect(try run(event("e1", completed(made.email.text, "2026-11-03T00:00:00Z"))).end == .exited(0))
        #expect(try run(event("e2", completed(made.email.text, "2026-11-01T00:00:00Z"))).end == .exited(0))
        let after = try register.customer(made.id)
        #expect(after.purchasedAt?.text == "2026-11-02T00:00:00Z" && after.version == 2)
        let metadata = try register.texts(
            "SELECT metadata->>'causation_id' FROM customer_event WHERE type = 'customer.purchased'")
        #expect(metadata == ["e1"])
        #expect(try register.count("SELECT count(*) FROM inbox") == 2)
        #expect(try register.count("SELECT count(*) FROM outbox") == 1, "the purchase itself is not published")
    }

    @Test func aCorrelationThatCannotBeKeptIsNoReasonToRefuse() throws {
        let made = try register.create()
        let odd = event("e1", completed(made.email.text, "2026-11-02T00:00:00Z"))
            .replacing(#""source""#, with: #""correlationid": "a\u0000b", "source""#)
        #expect(try run(odd).end == .exited(0))
        #expect(try register.customer(made.id).purchasedAt != nil)
    }

    @Test func anOrderWhoseIDHoldsANULIsNotTriedAgain() throws {
        let made = try register.create()
        let data = completed(made.email.text, "2026-11-02T00:00:00Z").replacing(#""id": 7"#, with: #""id": "a\u0000""#)
        let run = try run(event("e1", data))
        #expect(run.end == .exited(1) && run.lines.contains { $0.contains("NUL") }, "\(run.lines)")
        #expect(throws: CompletedOrder.Unusable.self) {
            try register.buy(made.email.text, at: "2026-11-02T00:00:00Z", order: "a\u{0}")
        }
    }

    @Test func anOrderWhoseIDIsTooLongToKeepIsNotTriedAgain() throws {
        let made = try register.create()
        // Characters as the schema counts them, which are code points.
        let longest = String(repeating: "\u{301}", count: 128)
        try register.buy(made.email.text, at: "2026-11-02T00:00:00Z", order: longest)
        #expect(try register.customer(made.id).purchasedAt != nil)
        let error = #expect(throws: CompletedOrder.Unusable.self) {
            try register.buy(made.email.text, at: "2026-11-03T00:00:00Z", order: longest + "x")
        }
        #expect(error?.description == "order.id has 129 characters: it must have at most 128")
    }

    @Test(arguments: ["1.5", "1e400", "1000000000000000000000000000000", "true"])
    func saysWhichIDsOfAnOrderAreTaken(id: String) {
        let data = completed("a@b", "2026-11-02T00:00:00Z").replacing(#""id": 7"#, with: "\"id\": \(id)")
        let error = #expect(throws: (any Error).self) { try JSON.decode(CompletedOrder.self, from: Array(data.utf8)) }
        let sentence = error.map { DecodingFault($0).sentence } ?? ""
        #expect(sentence.hasPrefix("order.id must be a text, or a whole number"), "\(sentence)")
    }

    @Test(arguments: [
        (#"{"order": {}, "customer_email": "a@b", "order_created_at": ""}"#, "order.id is required."),
        (#"{"order": {"id": 7}, "customer_email": null, "order_created_at": ""}"#, "customer_email must not be null."),
    ])
    func namesWhatIsMissing(data: String, sentence: String) {
        let error = #expect(throws: (any Error).self) { try JSON.decode(CompletedOrder.self, from: Array(data.utf8)) }
        #expect(error.map { DecodingFault($0).sentence } == sentence)
    }

    @Test("what cannot be taken leaves no trace in the inbox")
    func refusals() throws {
        let made = try register.create()
        let bad = [
            completed("nobody@example.com", "2026-11-02T00:00:00Z"), completed(made.email.text, "soon"),
            #"{"order": {}, "customer_email": "a@b", "order_created_at": "2026-11-02T00:00:00Z"}"#, #"{"order": 1}"#,
            "[]",
        ]
        for (index, data) in bad.enumerated() {
            #expect(try run(event("bad\(index)", data)).end != .exited(0), "\(data)")
        }
        #expect(try register.count("SELECT count(*) FROM inbox") == 0)
        #expect(try register.customer(made.id) == made)
    }
}
